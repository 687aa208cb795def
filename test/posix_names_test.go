package test

var mkdirScripts = []script{
	{"modes", `
		mkdir a 0755
		stat a
		mkdir b 0151
		stat b
		umask 077
		mkdir c 0151
		stat c
		umask 070
		mkdir d 0345
		stat d
		umask 0501
		mkdir e 0345
		stat e
		chmod a 0755
		chmod b 0755
		chmod c 0755
		chmod d 0755
		chmod e 0755`},
	{"errors", `
		write f text
		mkdir d 0755
		write d/x x
		--
		mkdir d 0755
		mkdir f 0755
		mkdir f/x 0755
		mkdir nosuch/x 0755
		mkdir {255} 0755
		mkdir {256} 0755
		mkdir {path} 0755
		mkdir . 0755
		mkdir .. 0755
		mkdir d/.. 0755
		mkdir d/ 0755
		mkdir g/ 0755
		list .`},
	{"who may", `
		mkdir d 0755
		as 65534:65534
		mkdir d/e 0755
		as 0:0
		chmod d 0777
		as 65534:65534
		mkdir d/e 0755
		mkdir d/e/f 0755
		as 65532:65532
		mkdir d/e/g 0755
		mkdir d/h 0755
		rmdir d/e`},
	{"where something was", `
		write d x
		mkdir e 0755
		write e/x x
		--
		unlink d
		mkdir d 0755
		list d
		write d/y y
		unlink e/x
		rmdir e
		mkdir e 0755
		list e`},
}

var rmdirScripts = []script{
	{"errors", `
		mkdir d 0755
		write d/f text
		mkdir d/e 0755
		write d/e/f text
		--
		rmdir d
		rmdir d/f
		rmdir d/f/x
		rmdir nosuch
		rmdir nosuch/x
		rmdir {255}
		rmdir {256}
		rmdir {path}
		rmdir .
		rmdir d/.
		rmdir d/..
		unlink d/e/f
		rmdir d/e
		rmdir d/e
		list d`},
	{"emptied", `
		mkdir d 0755
		write d/f text
		mkdir d/e 0755
		write d/e/f text
		--
		rename d/f f
		rename d/e e
		rmdir d
		stat d
		list .`},
	{"who may", `
		mkdir d 0755
		mkdir d/e 0777
		as 65534:65534
		rmdir d/e
		as 0:0
		chmod d 0777
		as 65534:65534
		rmdir d/e`},
	{"sticky", `
		mkdir d 0777
		chmod d 01777
		stat d`},
	{"while it is open", `
		mkdir d 0755
		mkdir e 0755
		open @d d r|dir
		open @e e r|dir
		rmdir d
		--
		stat @d
		createat @d f
		mkdirat @d g
		fchdir @e
		rmdir ../e
		create f 0644
		stat .
		stat ..
		chdir ..
		list .
		mkdir d 0700
		stat @d
		stat d
		rmdir d`},
}

var unlinkScripts = []script{
	{"errors", `
		mkdir d 0755
		write d/f text
		--
		unlink d
		unlink d/
		unlink nosuch
		unlink d/f/x
		unlink d/f/
		unlink nosuch/x
		unlink {255}
		unlink {256}
		unlink {path}
		unlink .
		unlink d/f
		unlink d/f
		stat d/f
		list d`},
	{"who may", `
		mkdir d 0755
		write d/f x
		chmod d/f 0666
		as 65534:65534
		unlink d/f
		as 0:0
		chmod d 0777
		chmod d/f 0
		as 65534:65534
		unlink d/f
		list d`},
	{"while it is open", `
		write f text
		--
		open @r f r
		open @w f rw
		unlink f
		stat f
		--
		stat @r
		read @r
		pwrite @w more 4
		--
		read @r
		truncate @w 6
		stat @r
		fsync @w
		write f new
		read f
		read @r
		close @w
		read @r
		stat @r
		close @r
		read f`},
	{"and make again", `
		write f text
		--
		unlink f
		create f 0644
		read f
		unlink f
		mkdir f 0755
		create f/x 0644
		unlink f/x
		rmdir f
		write f end
		read f`},
}

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
