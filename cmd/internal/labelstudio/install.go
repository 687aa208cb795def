package labelstudio

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Install gives the label-studio command of a virtual environment below cache,
// which is made the first time: a minute, and a gigabyte. version "" is the
// newest one. An environment counts once it is whole: what an interrupted
// install left is made anew.
func Install(ctx context.Context, cache, version string, log *os.File) (string, error) {
	name, pkg := "newest", "label-studio"
	if version != "" {
		name, pkg = version, "label-studio=="+version
	}
	env := filepath.Join(cache, name)
	command, whole := filepath.Join(env, "bin", "label-studio"), filepath.Join(env, "whole")
	if _, err := os.Stat(whole); err == nil {
		return command, nil
	}
	if err := os.RemoveAll(env); err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "installing %s into %s: a minute or two, the first time\n", pkg, env)
	for _, args := range [][]string{
		{"python3", "-m", "venv", env},
		{filepath.Join(env, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", pkg},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s: %w (its output is in %s; python3-venv is needed)", args[0], err, log.Name())
		}
	}
	return command, os.WriteFile(whole, nil, 0o644)
}
