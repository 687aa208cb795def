//go:build ignore

// Gen makes since.txt of the tables of pfs-wire.md: it reads the document and
// writes a line for every call, and for every field of the messages that pachfs
// has, with the versions that know it.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"regexp"
	"strings"
)

// packages are those of the messages that are not of pfs_v2; those of "" are
// not spoken by pachfs.
var packages = map[string]string{
	"Version":               "versionpb_v2",
	"InspectClusterRequest": "admin_v2", "ClusterInfo": "admin_v2", "WebResource": "admin_v2",
	"WhoAmIRequest": "auth_v2", "WhoAmIResponse": "auth_v2", "AuthenticateRequest": "auth_v2", "AuthenticateResponse": "auth_v2",
}

// renamed are messages that were there before under another name, with the
// same fields.
var renamed = map[string]bool{"AuthInfo": true}

var (
	from    = regexp.MustCompile(`^≥(\d+\.\d+\.\d+)`)
	between = regexp.MustCompile(`^(\d+\.\d+\.\d+), (\d+\.\d+\.\d+) and ≥(\d+\.\d+\.\d+)`)
	message = regexp.MustCompile("^`([A-Za-z0-9.]+)`(?: \\*\\(≥(\\d+\\.\\d+\\.\\d+)\\)\\*)?")
)

// since reads a cell; what says nothing is as old as what it belongs to.
func since(cell, owner string) string {
	if m := between.FindStringSubmatch(cell); m != nil {
		return m[1] + "-" + m[2] + " " + m[3] + "-"
	}
	if m := from.FindStringSubmatch(cell); m != nil {
		return m[1] + "-"
	}
	return owner
}

func main() {
	const always = "2.0.0-"
	services := map[string]string{}
	section, service, msg, msgSince := "", "", "", always
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := in.Text()
		if strings.HasPrefix(line, "#") {
			section, _, _ = strings.Cut(strings.TrimLeft(line, "# "), " ")
			service, msg = "pfs_v2.API", ""
			continue
		}
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "/"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) < 6:
		case section == "1.1" && strings.HasPrefix(cells[1], "`"):
			services[strings.Trim(cells[1], "`")] = since("≥"+cells[4], always)
		case (section == "1.2" || section == "1.3") && strings.HasPrefix(cells[2], "`"):
			if strings.HasPrefix(cells[1], "`") {
				service = strings.Trim(cells[1], "`")
			}
			fmt.Printf("%s/%s %s\n", service, strings.Trim(cells[2], "`"), since(cells[5], services[service]))
		case section >= "2.1" && section <= "2.9" && len(section) == 3:
			if m := message.FindStringSubmatch(cells[1]); m != nil {
				if msg, msgSince = m[1], always; m[2] != "" && !renamed[msg] {
					msgSince = m[2] + "-"
				}
				if strings.Contains(cells[1], "(enum)") || section == "2.9" && packages[msg] == "" {
					msg = ""
				}
			}
			if msg != "" && strings.HasPrefix(cells[3], "`") {
				pkg := packages[msg]
				if pkg == "" {
					pkg = "pfs_v2"
				}
				fmt.Printf("%s.%s.%s %s\n", pkg, msg, strings.Trim(cells[3], "`"), since(cells[5], msgSince))
			}
		}
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
}
