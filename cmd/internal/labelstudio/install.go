package labelstudio

import (
	"context"
	"os"
	"path/filepath"

	"pachfs/cmd/venv"
)

// Install gives the label-studio command of a virtual environment below cache,
// which is made the first time: a minute, and a gigabyte. version "" is the
// newest one.
func Install(ctx context.Context, cache, version string, log *os.File) (string, error) {
	name, pkg := "newest", "label-studio"
	if version != "" {
		name, pkg = version, "label-studio=="+version
	}
	env := filepath.Join(cache, name)
	return filepath.Join(env, "bin", "label-studio"), venv.Install(ctx, env, log, pkg)
}
