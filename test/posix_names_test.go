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
