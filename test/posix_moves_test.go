package test

var renameScripts = []script{
	{"kinds", `
		write f text
		mkdir d 0755
		write d/x x
		--
		rename f g
		stat f
		read g
		rename d e
		stat d
		read e/x
		rename e/x y
		rename g e/g
		list .
		list e`},
	{"errors", `
		write f text
		mkdir d 0755
		write d/x x
		mkdir e 0755
		write e/x y
		mkdir empty 0755
		--
		rename nosuch g
		rename f nosuch/g
		rename f/x g
		rename f d/x/y
		rename {256} g
		rename f {256}
		rename {path} g
		rename f {path}
		rename d d/sub
		rename d d/sub/sub
		rename d .
		rename . g
		rename d/.. g
		rename f d
		rename d f
		rename d e
		rename f empty
		rename empty f
		rename f g/
		rename f f
		rename d d
		rename f d/../f
		list .
		list d`},
	{"over", `
		write f from
		write g to
		mkdir d 0755
		write d/x x
		mkdir e 0755
		--
		rename f g
		read g
		list .
		rename d e
		read e/x
		list .`},
	{"over an open file", `
		write f from
		write g to
		--
		open @f f rw
		open @g g rw
		rename f g
		read @f
		read @g
		--
		stat @g
		pwrite @g TO 0
		read @f
		--
		pwrite @f FROM 0
		read g
		read @g
		fsync @g
		fsync @f
		close @g
		read g`},
	{"under open descriptors", `
		mkdir d 0755
		write d/f text
		mkdir d/e 0755
		write d/e/g more
		--
		open @d d r|dir
		open @f d/f rw
		open @g d/e/g rw
		rename d h
		--
		pwrite @f TEXT 0
		createat @d new
		mkdirat @d sub
		rename h/e h/i
		--
		pwrite @g MORE 0
		stat @d
		read h/f
		read h/i/g
		fchdir @d
		list .
		rename ../h ../k
		--
		create late 0644
		chdir ..
		list k
		fsync @f
		fsync @g
		read k/f
		read k/i/g`},
	{"back and forth", `
		write a A
		write b B
		--
		rename a t
		rename b a
		rename t b
		read a
		read b
		--
		rename b c
		rename a b
		rename c a
		--
		read a
		read b`},
	{"who may", `
		mkdir d 0755
		mkdir e 0777
		write d/f x
		write e/g y
		as 65534:65534
		rename d/f d/h
		rename d/f e/f
		rename e/g d/g
		rename e/g e/h
		list d
		list e`},
	{"who may move a directory", `
		mkdir d 0777
		mkdir e 0777
		mkdir d/sub 0755
		as 65534:65534
		rename d/sub d/moved
		rename d/moved e/sub
		as 0:0
		list d
		list e`},
	{"keeps mode, owner, time", `
		write f x
		chmod f 0640
		chown f 12 34
		utimens f omit 1000000000
		rename f g
		stat g
		mtime g
		mkdir d 0755
		chmod d 0750
		chown d 5 6
		utimens d omit 1000000000
		rename d e
		stat e
		mtime e`},
	{"without replacing", `
		write f x
		write g y
		--
		renamenew f g
		exchange f g
		exchange f g
		exchange f nosuch
		read f
		read g
		renamenew f h
		gone h
		gone f
		list .`},
}

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
