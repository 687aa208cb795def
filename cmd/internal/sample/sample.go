// Package sample draws the pictures of the sample data and puts them into a
// Pachyderm: images@master has them, labels@master is empty.
package sample

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	iofs "io/fs"
	"math"
	"strings"

	"pachfs/pachclient"
)

const width, height = 320, 240

// A painter gives the colour of a point; x and y go from -1 to 1.
type painter func(x, y float64) (r, g, b float64)

var pictures = []struct {
	name  string
	paint painter
}{
	{"liberty.png", torch},
	{"sunset.png", sunset},
	{"ripples.png", ripples},
	{"mandelbrot.png", mandelbrot},
	{"checker.png", checker},
}

// torch is a flame on a dark sky.
func torch(x, y float64) (r, g, b float64) {
	flame := math.Exp(-8*x*x/(1.2-y)) * smooth(0.75-math.Hypot(x*1.8, y+0.2))
	arm := smooth(0.12 - math.Abs(x) - 0.04*y)
	if y < 0.15 {
		arm = 0
	}
	return flame + 0.35*arm + 0.05, 0.7*flame*flame + 0.55*arm + 0.08, 0.2*flame*flame*flame + 0.45*arm + 0.2 - 0.1*y
}

// sunset is a disc over a sea.
func sunset(x, y float64) (r, g, b float64) {
	sun := smooth(0.35 - math.Hypot(x, (y+0.05)*0.75))
	if y > 0.15 {
		glint := math.Exp(-9*x*x) * (0.5 + 0.5*math.Sin(60*y+10*x))
		return 0.15 + 0.8*glint, 0.1 + 0.4*glint, 0.25 + 0.1*glint
	}
	return 0.9 - 0.3*math.Abs(y) + 0.1*sun, 0.35 - 0.3*y + 0.5*sun, 0.35 - 0.5*y
}

// ripples are two sources of waves.
func ripples(x, y float64) (r, g, b float64) {
	v := math.Sin(40*math.Hypot(x-0.4, y)) + math.Sin(40*math.Hypot(x+0.4, y))
	return 0.5 + 0.2*v, 0.6 + 0.2*v, 0.8 + 0.1*v
}

// mandelbrot is the set.
func mandelbrot(x, y float64) (r, g, b float64) {
	c, z, n := complex(1.5*x-0.6, 1.2*y), complex(0, 0), 0
	for ; n < 60 && real(z)*real(z)+imag(z)*imag(z) < 4; n++ {
		z = z*z + c
	}
	t := float64(n) / 60
	return 4 * t * (1 - t), 2 * t * t * (1 - t) * 3, math.Sqrt(t) * (1 - t) * 2
}

// checker is a floor that goes to the horizon.
func checker(x, y float64) (r, g, b float64) {
	if y < 0 {
		return 0.5 + 0.3*y, 0.7 + 0.2*y, 0.95
	}
	d := 1 / (y + 0.05)
	if (int(math.Floor(d*x*2))+int(math.Floor(d*2)))&1 == 0 {
		return 0.9, 0.9, 0.85
	}
	return 0.15, 0.2, 0.25
}

func smooth(v float64) float64 { return 1 / (1 + math.Exp(-40*v)) }

// draw gives the picture as a PNG file.
func draw(p painter) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	level := func(v float64) uint8 { return uint8(255 * math.Max(0, math.Min(1, v))) }
	for py := range height {
		for px := range width {
			r, g, b := p(2*float64(px)/width-1, 2*float64(py)/height-1)
			img.SetRGBA(px, py, color.RGBA{level(r), level(g), level(b), 255})
		}
	}
	var out bytes.Buffer
	err := png.Encode(&out, img)
	return out.Bytes(), err
}

// Files draws all pictures, by name.
func Files() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, p := range pictures {
		b, err := draw(p.paint)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", p.name, err)
		}
		out[p.name] = b
	}
	return out, nil
}

// Gallery draws twenty pictures: each of the five as it is, and closer, turned
// and in other light.
func Gallery() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, p := range pictures {
		for i := range 4 {
			turn, zoom := float64(i)*math.Pi/7, 1-0.15*float64(i)
			sin, cos := math.Sincos(turn)
			b, err := draw(func(x, y float64) (r, g, b float64) {
				r, g, b = p.paint(zoom*(x*cos-y*sin), zoom*(x*sin+y*cos))
				light := [][3]float64{{r, g, b}, {g, r, b}, {b, g, r}, {r, b, g}}[i]
				return light[0], light[1], light[2]
			})
			if err != nil {
				return nil, fmt.Errorf("draw %s: %w", p.name, err)
			}
			out[fmt.Sprintf("%s-%d.png", strings.TrimSuffix(p.name, ".png"), i+1)] = b
		}
	}
	return out, nil
}

// Seed puts the sample data into a Pachyderm that has no repo images yet; one
// that has is left as it is.
func Seed(ctx context.Context, c pachclient.Client) error {
	images := pachclient.Branch{Project: pachclient.DefaultProject, Repo: "images", Name: "master"}
	labels := pachclient.Branch{Project: pachclient.DefaultProject, Repo: "labels", Name: "master"}
	_, err := c.Branch(ctx, images)
	if err == nil || !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	for _, b := range []pachclient.Branch{images, labels} {
		if err := c.CreateBranch(ctx, b); err != nil {
			return err
		}
	}
	return Put(ctx, c, images)
}

// Put lands all pictures on a branch as one commit.
func Put(ctx context.Context, c pachclient.Client, b pachclient.Branch) error {
	files, err := Files()
	if err != nil {
		return err
	}
	set, err := c.Upload(ctx, func(yield func(pachclient.Change, error) bool) {
		for name, content := range files {
			open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
			if !yield(pachclient.Change{Path: "/" + name, Size: int64(len(content)), Open: open}, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if err := c.Land(ctx, b, set, nil); err != nil {
		return err
	}
	info, err := c.Branch(ctx, b)
	if err != nil {
		return err
	}
	_, err = c.Wait(ctx, info.Head)
	return err
}
