package test

var chmodScripts = []script{
	{"files and directories", `
		create f 0644
		stat f
		chmod f 0111
		stat f
		chmod f 04755
		stat f
		chmod f 0
		stat f
		mkdir d 0755
		stat d
		chmod d 0711
		stat d
		chmod d 02775
		stat d
		chmod d 0755`},
	{"errors", `
		create f 0644
		chmod nosuch 0644
		chmod f/x 0644
		chmod {255} 0644
		chmod {256} 0644
		chmod {path} 0644
		chmod nosuch/x 0644`},
	{"only the owner", `
		mkdir d 0777
		create d/f 0644
		chown d/f 65534 65533
		as 65534:65533
		chmod d/f 0600
		stat d/f
		as 65532:65532
		chmod d/f 0666
		chmod d 0700
		as 0:0
		stat d/f
		stat d
		chmod d 0700
		as 65534:65533
		chmod d/f 0644
		stat d/f
		create d/g 0644`},
	{"setgid of another group is cleared", `
		mkdir d 0777
		create d/f 0644
		chown d/f 65535 65535
		as 65535:65532
		chmod d/f 02755
		stat d/f
		as 0:0
		chmod d/f 02755
		stat d/f`},
	{"a write takes set-id away", `
		create f 0644
		chown f 65534 65534
		chmod f 06777
		as 65532:65532
		open @f f rw
		write @f x
		stat @f
		close @f
		stat f
		as 0:0
		chmod f 04777
		as 65532:65532
		truncate f 0
		stat f`},
	{"through a descriptor", `
		open @f f creat|rw 0600
		chmod @f 0640
		stat @f
		stat f
		unlink f
		chmod @f 0444
		stat @f
		chown @f 1 2
		stat @f
		close @f`},
	{"what the bits mean", `
		mkdir d 0755
		write d/f text
		chmod d/f 0640
		chown d/f 65534 65533
		as 65534:1
		read d/f
		open d/f w
		open d/f rw
		access d/f 1
		as 1:65533
		read d/f
		open d/f w
		as 1:1
		read d/f
		access d/f 4
		as 0:0
		chmod d 0700
		as 65534:65533
		read d/f
		stat d/f
		list d
		as 0:0
		chmod d 0711
		as 65534:65533
		read d/f
		list d
		as 0:0
		chmod d 0755`},
	{"ctime", `
		create f 0644
		times f
		chmod f 0600
		ctime f
		times f
		as 65534:65534
		chmod f 0644
		ctime f`},
}

var chownScripts = []script{
	{"both and one", `
		create f 0644
		chown f 123 456
		stat f
		chown f -1 7
		stat f
		chown f 8 -1
		stat f
		chown f -1 -1
		stat f
		mkdir d 0755
		chown d 123 456
		stat d
		create d/f 0644
		stat d/f`},
	{"errors", `
		create f 0644
		chown nosuch 1 1
		chown f/x 1 1
		chown {256} 1 1
		chown {path} 1 1`},
	{"only root gives away", `
		mkdir d 0777
		create d/f 0644
		chown d/f 65534 65533
		as 65534:65533
		chown d/f 65534 65533
		chown d/f 65532 -1
		chown d/f -1 65532
		chown d/f -1 65533
		as 65532:65532
		chown d/f 65532 -1
		as 0:0
		stat d/f`},
	{"set-id is cleared", `
		create f 0644
		chmod f 06555
		chown f 1 1
		stat f
		mkdir d 0755
		chmod d 02755
		create d/f 0644
		stat d/f
		chown d/f 65534 65534
		chmod d/f 06555
		as 65534:65534
		chown d/f 65534 65534
		stat d/f`},
	{"who makes a file owns it", `
		mkdir d 0777
		as 65534:65533
		create d/f 0640
		mkdir d/e 0750
		stat d/f
		stat d/e
		write d/f x
		stat d/f`},
	{"a directory's group with setgid", `
		mkdir d 0777
		chown d 0 4321
		chmod d 02777
		as 65534:65533
		create d/f 0644
		stat d/f
		mkdir d/e 0755
		stat d/e`},
}
