package test

var openScripts = []script{
	{"modes", `
		create a 0755
		stat a
		create b 0151
		stat b
		umask 077
		create c 0151
		stat c
		umask 070
		create d 0345
		stat d
		umask 0501
		create e 0345
		stat e
		umask 0
		create s 04755
		stat s`},
	{"errors", `
		mkdir d 0755
		write d/f text
		--
		open d/f/x r
		open nosuch r
		open nosuch w
		open nosuch/x creat|w 0644
		open {255} r
		open {256} creat|w 0644
		open {path} creat|w 0644
		open d w
		open d rw
		open d r|trunc
		open d creat|w 0644
		open d creat|excl|w 0644
		open d/f creat|excl|w 0644
		open d/f r|dir
		open d r|dir
		open d/f/ r
		open d/new/ creat|w 0644
		open d/f creat|w 0644
		open d/f path
		open d r
		read d/f`},
	{"who may", `
		write f text
		chmod f 0600
		mkdir d 0755
		as 65534:65534
		open f r
		open f w
		open f creat|w
		open d/new creat|w 0644
		as 0:0
		chmod f 0644
		as 65534:65534
		open f r
		open f r|trunc
		open f rw
		as 0:0
		chmod f 0222
		as 65534:65534
		open f r
		open f w
		open f rw
		as 0:0
		chmod f 0644`},
	{"a mode that forbids what is open", `
		open @f f creat|rw 0444
		write @f text
		read @f
		as 65534:65534
		open f w
		as 0:0
		stat f`},
	{"append", `
		write f one,
		--
		open @a f w|append
		open @b f w|append
		write @a two,
		--
		write @b three,
		pwrite @a four, 0
		truncate @b 5
		write @a five
		read f`},
	{"reading and writing only", `
		write f text
		--
		open @r f r
		open @w f w
		write @r x
		read @w
		read @r
		pwrite @w T 0
		read @r
		close @r
		close @w`},
	{"direct", `
		write f text
		--
		open f r|direct
		open f w|direct`},
	{"unnamed", `open . w|tmpfile 0644`},
	{"holes", `
		open @f f creat|rw 0644
		pwrite @f far 3000000
		seek @f end 0
		pwrite @f near 0
		truncate @f 8
		read @f
		fsync @f`},
}
