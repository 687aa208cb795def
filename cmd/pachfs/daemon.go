package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"pachfs/cmd/internal/control"
)

// background runs the same mount in another process, and returns when that has
// said that it can be used, or fails with what it said instead.
func background(s streams, mountpoint string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool { return strings.HasPrefix(a, "--daemon") })
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "PACHFS_DAEMON=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	logName, err := daemonLog(mountpoint)
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	earlier, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd.Stderr = logFile
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		fmt.Fprint(s.out, line)
		return cmd.Process.Release()
	}
	err = cmd.Wait()
	words, readErr := wordsAfter(logName, earlier)
	code := control.ExitFault
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if readErr != nil || len(words) == 0 {
		words = fmt.Append(nil, err)
	}
	return &control.Error{Message: strings.TrimPrefix(strings.TrimSpace(string(words)), "pachfs: "), Exit: code}
}

// wordsAfter gives what was written to the log since it had that size.
func wordsAfter(logName string, size int64) ([]byte, error) {
	f, err := os.Open(logName)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, size, math.MaxInt64-size))
}

// daemonLog is where a mount in the background writes its log.
func daemonLog(mountpoint string) (string, error) {
	mountpoint, err := realPlace(mountpoint)
	if err != nil {
		return "", err
	}
	dir, err := runDir()
	return filepath.Join(dir, escapePath(mountpoint)+".log"), err
}
