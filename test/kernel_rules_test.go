package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// kernelRules are what is known of how a kernel treats a mount, as facts that
// we rely on or as rules for our code, each with the tests that show it: here,
// or with the name of their package before. docs/DESIGN.md says why they matter.
var kernelRules = []struct {
	section, rule string
	tests         string
}{
	{"invalidation", "an entry can't be invalidated while a LOOKUP in its directory waits; a node can", "fs/bazil.TestKernelEntryLock TestShutdownKilledInvalidating"},
	{"invalidation", "an entry is invalidated only while no request of its directory is in flight", "fs/bazil.TestInterrupts TestShutdownKilledInvalidating"},
	{"invalidation", "a node with -1 drops attributes, with 0 the pages", "fs/bazil.TestKernelInvalidateNode"},
	{"invalidation", "ESTALE makes the kernel look the path up again, so changed files are superseded", "fs/bazil.TestKernelStale fs.TestSupersession TestKernelWritesAfterSupersession"},
	{"invalidation", "fstat names no handle: a node with open handles answers its old attributes", "fs/bazil.TestKernelHandleless fs.TestSupersession"},
	{"invalidation", "a directory keeps its number and its entry: a cwd, a mount below and a bind mount stay", "fs/bazil.TestKernelDirectoryEntry TestKernelDirectoriesStay TestKernelKindChanges"},
	{"invalidation", "an entry that the kernel does not hold can't be invalidated, nor takes the listing along", "fs/bazil.TestKernelListingCache"},
	{"invalidation", "an empty listing is dropped too: readdir answers the dots, and the mtime changes", "TestKernelListings"},
	{"invalidation", "listings stay only with KEEP_CACHE and CACHE_DIR together", "fs/bazil.TestKernelListingCache"},
	{"invalidation", "what does not exist holds 250 ms at most where a head is followed, and long in a commit", "fs.TestNothingHolds TestKernelListings"},
	{"invalidation", "a directory met under a second name moves there: one directory, one name", "fs/bazil.TestKernelSecondName fs.TestRoot"},
	{"invalidation", "DiffFile names ancestors too, and they stay what they are", "TestKernelDirectoriesStay"},

	{"serving", "what may wait does not hold up a reader of requests", "TestKernelWaitingReadersAlone TestInterruptOthersGoOn"},
	{"serving", "a request that waits costs a buffer, and no more", "TestKernelWaitingRequestsCost"},
	{"serving", "one answer a request, also after a panic", "fs/bazil.TestPanicIsEIO"},
	{"serving", "directories come in pages, with cookies into a snapshot", "fs/bazil.TestDirentPages TestKernelLargeDirectories"},
	{"serving", "names over 255 bytes arrive, and are ENAMETOOLONG", "fs/bazil.TestKernelLongNames fs.TestNames"},
	{"serving", "RENAME_NOREPLACE is refused", "TestKernelRenameNoReplace"},
	{"serving", "FOPEN_NOFLUSH saves the FLUSH of a reader", "fs/bazil.TestKernelNoFlush"},
	{"serving", "default_permissions is always set", "TestKernelChecksPermissions TestAllowOther"},

	{"interrupts", "a signal breaks nothing but a wait for a commit, SIGKILL ends every wait", "TestInterruptHarmless TestInterruptKill TestInterruptCommit TestIOTimeoutKill fs/bazil.TestInterrupts"},
	{"interrupts", "EAGAIN makes the kernel send an INTERRUPT again that overtook its request", "fs/bazil.TestKernelInterruptAgain fs/bazil.TestInterrupts"},
	{"interrupts", "a killed reader of the page cache shows as a FLUSH", "fs/bazil.TestKernelKilledReader"},
	{"interrupts", "a FLUSH is never cancelled: a killed writer's file counts as closed", "TestKernelHalfWrittenFilesWait"},
	{"interrupts", "a daemon never waits in its own mount, or nothing can kill it", "TestStartKilled"},

	{"trigger", "utimensat names no handle, even on a descriptor", "fs/bazil.TestKernelHandleless"},
	{"trigger", "the error of a WRITE is seen by whoever writes a message", "TestKernelTriggerErrorsAreSeen"},
	{"trigger", "while a touch waits the directory goes on, and a second touch can be killed", "TestKernelSecondTouch TestTriggerTogether"},
	{"trigger", "each way of touching or writing makes one commit, or none", "TestTriggerForms fs.TestTriggerRule"},
	{"trigger", "control names can't be removed, replaced or made, and are not listed", "TestTriggerRefuses TestTriggerUnlisted fs.TestControlFilesAreNotListed"},

	{"files", "closed means released: what is being written waits", "TestKernelHalfWrittenFilesWait"},
	{"files", "a release that is late is waited for", "TestKernelLateReleases"},
	{"files", "mmap stores count from msync or munmap", "TestPosixMmapProcess"},
	{"files", "the truncation of an O_TRUNC open belongs to its writers", "fs/bazil.TestKernelHandleless TestKernelHalfWrittenFilesWait"},
	{"files", "a write through a handle of before a foreign change conflicts", "TestKernelOldHandleConflicts"},
	{"files", "locks that the kernel keeps suffice", "TestPosixPrograms"},
	{"files", "inotify sees local changes only", "TestKernelInotify"},

	{"mounting", "fusermount3 is always needed, a directory in use or not empty is refused", "TestErrorsAtMount"},
	{"mounting", "a dead mount is detached first; who was inside has ENOTCONN until they go there anew", "TestErrorsDeadMount TestErrorsDeadMountRemembered TestShutdownKilled"},
	{"mounting", "an unmount says nothing, the next read of a request is the end", "fs/bazil.TestKernelUnmountSaysNothing"},
	{"mounting", "umount returns before anything landed", "TestKernelUmountReturnsFirst"},
	{"mounting", "held by a namespace or a cwd, the daemon sees its mount go and lands", "TestKernelUnmountedBehindOurBack TestShutdown"},
	{"mounting", "an unmount in another namespace is none here", "TestKernelUnmountElsewhere"},
	{"mounting", "the connection is not closed while it is served", "fs/bazil.TestConnIsNotClosedWhileServing"},
	{"mounting", "a dead connection is aborted by its number, the path is not touched", "TestStartAfterHungMount"},
	{"mounting", "SIGTERM while busy detaches, lands, refuses later writes and ends", "TestUnmountBusy TestShutdown fs.TestFreeze"},
}

// Every rule has a test, and the tests are there.
func TestKernelRulesHaveTests(t *testing.T) {
	names := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	known := map[string]bool{}
	for dir, prefix := range map[string]string{".": "", "../fs": "fs.", "../fs/bazil": "fs/bazil."} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		ok(t, err)
		for _, file := range files {
			b, err := os.ReadFile(file)
			ok(t, err)
			for _, m := range names.FindAllStringSubmatch(string(b), -1) {
				known[prefix+m[1]] = true
			}
		}
	}
	shown := map[string]bool{}
	for _, r := range kernelRules {
		tests := strings.Fields(r.tests)
		if len(tests) == 0 {
			t.Errorf("%s: no test shows that %s", r.section, r.rule)
		}
		for _, name := range tests {
			if !known[name] {
				t.Errorf("%s: %s: there is no %s", r.section, r.rule, name)
			}
			shown[name] = true
		}
	}
	for name := range known { // a test of the kernel is one of a rule
		if strings.Contains(name, "TestKernel") && !shown[name] && name != "TestKernelRulesHaveTests" {
			t.Errorf("%s shows no rule of the table", name)
		}
	}
}
