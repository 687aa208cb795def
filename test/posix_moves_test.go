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
