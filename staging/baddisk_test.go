package staging

import (
	"bytes"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

func (o *Overlay) TryLayers() int {
	if !o.mu.TryRLock() {
		return -1
	}
	defer o.mu.RUnlock()
	return len(o.layers)
}

// A badDisk fails a write to a layer that has a `carried` in it, once.
type badDisk struct {
	osDisk
	arm *atomic.Bool
}
type badFile struct {
	diskFile
	d badDisk
}

func (d badDisk) Create(name string) (diskFile, error) {
	f, err := d.osDisk.Create(name)
	if err == nil && strings.Contains(name, "layer-") {
		return badFile{f, d}, nil
	}
	return f, err
}

func (f badFile) WriteAt(p []byte, off int64) (int, error) {
	if bytes.HasSuffix(p, []byte{byte(opCarried)}) && f.d.arm.CompareAndSwap(true, false) {
		return 0, unix.EIO
	}
	return f.diskFile.WriteAt(p, off)
}

func OpenBad(arm *atomic.Bool, dir string, o Options) (*Stage, error) {
	return openOn(badDisk{arm: arm}, dir, o)
}
