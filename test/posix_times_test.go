package test

var utimensScripts = []script{
	{"times are kept", `
		create f 0644
		utimens f 1000000000 1000000001
		mtime f
		utimens f omit 1000000002.123456789
		mtime f
		utimens f 1000000003 omit
		mtime f
		utimens f omit omit
		mtime f
		utimens f 0 0
		mtime f
		utimens f 4000000000 4000000000
		mtime f
		mkdir d 0755
		utimens d 1000000000 1000000001
		mtime d`},
	{"now", `
		create f 0644
		times f
		utimens f now now
		changed f
		times f
		utimens f now omit
		changed f`},
	{"before the epoch", `
		create f 0644
		utimens f -5 -5
		mtime f`},
	{"of what landed", `
		write landed x
		mkdir made 0755
		write made/x x
		--
		chmod landed 0600
		chown landed 1 2
		utimens landed omit 1000000000
		mtime landed
		stat landed
		chmod made 0700
		chown made 1 2
		stat made
		list made`},
	{"kept until it lands", `
		write f x
		chmod f 0600
		chown f 1 2
		utimens f omit 1000000000
		rename f g
		mtime g
		stat g
		--
		mtime g`},
	{"errors", `
		create f 0644
		utimens nosuch now now
		utimens f/x now now
		utimens {256} now now`},
	{"who may", `
		mkdir d 0755
		create d/f 0644
		chown d/f 65534 65534
		as 65534:65534
		utimens d/f 1 1
		utimens d/f now now
		as 65532:65532
		utimens d/f 1 1
		utimens d/f now now
		as 0:0
		chmod d/f 0666
		as 65532:65532
		utimens d/f 1 1
		utimens d/f now now`},
	{"what changes them", `
		write f text
		times f
		read f
		changed f
		chmod f 0600
		changed f
		rename f g
		utimens g omit 1000000000
		rename g f
		mtime f
		times f
		truncate f 2
		changed f
		open @f f rw
		times f
		write @f xy
		changed f
		times f
		close @f
		changed f
		times f
		open f w|trunc
		changed f`},
	{"of directories", `
		mkdir d 0755
		times d
		create d/f 0644
		changed d
		times d
		write d/f text
		changed d
		times d
		rename d/f d/g
		changed d
		times d
		mkdir d/e 0755
		changed d
		times d
		create d/e/f 0644
		changed d
		times d
		rename d/e/f d/h
		changed d
		times d
		unlink d/h
		changed d
		times d
		rmdir d/e
		changed d
		times d
		rmdir d/nosuch
		create d/g 0644
		changed d`},
}

var truncateScripts = []script{
	{"shorter, longer", `
		write f 0123456789
		--
		truncate f 5
		read f
		truncate f 8
		read f
		stat f
		truncate f 0
		read f
		truncate f 3
		read f`},
	{"far away", `
		write f text
		--
		truncate f 12345678
		open @f f rw
		seek @f data 0
		seek @f hole 0
		seek @f end 0
		pwrite @f end 12345674
		truncate @f 4
		read @f
		truncate @f 6
		read @f
		close @f`},
	{"errors", `
		mkdir d 0755
		write d/f text
		--
		truncate nosuch 0
		truncate d 0
		truncate d/f/x 0
		truncate d/f -1
		truncate {256} 0
		truncate {path} 0
		open @r d/f r
		truncate @r 1
		open @w d/f rw
		truncate @w -1
		read d/f`},
	{"who may", `
		write f text
		chmod f 0644
		as 65534:65534
		truncate f 0
		as 0:0
		chmod f 0666
		as 65534:65534
		truncate f 1
		read f
		as 0:0
		chmod f 0444
		open @f f rw
		chown f 65534 65534
		as 65534:65534
		truncate f 0
		truncate @f 0
		read f`},
	{"through a descriptor", `
		write f 0123456789
		--
		open @a f rw
		open @b f r
		truncate @a 4
		stat @b
		read @b
		truncate f 6
		stat @a
		read @b
		unlink f
		truncate @a 2
		stat @b
		read @b`},
	{"beyond everything", `
		write f text
		truncate f 0x7fffffffffffffff
		open @f f rw
		pwrite @f x 0x7ffffffffffffff0
		truncate @f 4
		read f`},
	{"at open", `
		write f text
		--
		open f w|trunc
		stat f
		write f again
		open f r|trunc
		stat f`},
}
