package test

var refusedScripts = []script{
	{"hard links", `
		write f x
		mkdir d 0755
		write d/x x
		--
		link nosuch g
		link f f
		link f d
		link f nosuch/g
		link f/x g
		link f {256}
		link d g
		link f g
		gone g
		stat f`},
	{"symbolic links", `
		write f x
		mkdir d 0755
		write d/x x
		--
		symlink f f
		symlink f nosuch/l
		symlink f f/l
		symlink f {256}
		symlink f l
		gone l
		list .`},
	{"devices", `
		write f x
		--
		mkfifo f
		mkfifo nosuch/p
		mkfifo p
		mknod c
		mksock s
		gone p
		gone c
		gone s
		list .`},
	{"a file by mknod", `
		mkfile nosuch/f
		mkfile f
		gone f`},
	{"names that Pachyderm refuses", `
		write f x
		--
		create a*b 0644
		mkdir a?b 0755
		rename f a[b
		open ünï creat|w 0644
		gone a*b
		gone a?b
		gone a[b
		gone f
		gone ünï
		stat a*b
		unlink a*b
		rmdir a*b
		rename a*b b
		list .`},
}

// What is open stays what it was, whatever happens to its name.
var livingScripts = []script{
	{"a reader survives everything", `
		write f 0123456789
		mkdir d 0755
		write d/x x
		--
		open @r f r
		read @r
		rename f g
		read @r
		rename g d/g
		rename d e
		--
		read @r
		write e/new new
		rename e/new e/g
		--
		read @r
		stat @r
		unlink e/g
		read @r
		unlink e/x
		unlink e/new
		rmdir e
		read @r
		stat @r
		mkdir f 0755
		read @r`},
	{"a writer too", `
		write f 0123456789
		--
		open @w f rw
		rename f g
		pwrite @w ab 2
		--
		write f other
		read g
		--
		rename f g
		--
		pwrite @w cd 8
		read @w
		read g
		fsync @w
		truncate @w 20
		chmod @w 0600
		stat @w
		read g`},
	{"saved as vim saves", `
		write f old
		--
		open @probe 4913 creat|excl|w 0100644
		chown @probe 0 0
		close @probe
		unlink 4913
		open @swap .f.swp creat|excl|rw 0600
		write @swap swapped
		rename f f~
		open @f f creat|w 0644
		write @f new
		fsync @f
		close @f
		chmod f 0100644
		unlink f~
		close @swap
		unlink .f.swp
		read f
		list .`},
	{"saved as emacs saves", `
		write f old
		--
		symlink user@host.1:2 .#f
		gone .#f
		rename f f~
		open @f f creat|excl|w 0644
		write @f new
		fsync @f
		close @f
		chmod f 0644
		stat f
		open @f f w|trunc
		write @f newer
		fsync @f
		close @f
		read f
		read f~`},
	{"saved as gedit saves", `
		write f old
		--
		open @t .goutputstream-ABC123 creat|excl|rw 0600
		chown @t 0 0
		chmod @t 0644
		write @t new
		fsync @t
		link f f~
		gone f~
		rename .goutputstream-ABC123 f
		close @t
		read f
		stat f`},
}
