"""What a user does with python-pachyderm 7.x, the client before pachyderm-sdk:
each step asserts what came back.
"""

import io

import grpc
import python_pachyderm
from python_pachyderm.service import pfs_proto

from steps import address, big, paths, refused, scratch, step, want, web

client = python_pachyderm.Client.new_from_pachd_address(address)


def get(commit, path):
    with client.get_file(commit, path) as f:
        return f.read()


step("version, cluster, auth, health")
version = client.get_remote_version()
want((version.major, version.minor), (2, 11))
assert client.inspect_cluster().id
with refused(grpc.StatusCode.UNIMPLEMENTED, "the auth service is not activated"):
    client.who_am_i()
want(client.health_check().status, 1)

step("repos and branches")
client.create_repo("images", "pictures")
client.create_repo("copies", project_name="default")
with refused(grpc.StatusCode.ALREADY_EXISTS, "already exists"):
    client.create_repo("images")
want(client.inspect_repo("images").description, "pictures")
want(sorted(r.repo.name for r in client.list_repo()), ["copies", "images"])
client.create_branch("images", "master")
want([b.branch.name for b in client.list_branch("images")], ["master"])

step("a commit with files from bytes, a directory and a URL")
local = scratch / "up"
(local / "deep").mkdir(parents=True)
(local / "a.txt").write_text("alpha")
(local / "deep" / "b.txt").write_text("beta")
master = ("images", "master")
with client.commit("images", "master", description="first") as commit:
    client.put_file_bytes(commit, "/hello.txt", b"hello")
    client.put_file_bytes(commit, "/hello.txt", b", world", append=True)
    client.put_file_bytes(commit, "/big.bin", io.BytesIO(big))
    client.put_file_url(commit, "/page.html", web + "/page")
    with refused(grpc.StatusCode.UNKNOWN, "404 Not Found"):
        client.put_file_url(commit, "/none.html", web + "/none")
    python_pachyderm.put_files(client, str(local), commit, "/dir")
first = client.wait_commit(commit.id)[0]
want((first.description, first.error, first.commit.id), ("first", "", commit.id))

step("a commit in one call")
with client.modify_file_client(master) as mfc:
    mfc.put_file_from_filepath("/dir/c.txt", str(local / "a.txt"))
    mfc.delete_file("/dir/a.txt")
    mfc.copy_file(master, "/hello.txt", "/hello.old")
    mfc.put_file_from_bytes("/hello.txt", b"bye")
second = client.wait_commit(master)[0]
want(second.parent_commit.id, first.commit.id)

step("list, walk, glob, inspect, read")
want(paths(client.list_file(master, "/")), ["/big.bin", "/dir/", "/hello.old", "/hello.txt", "/page.html"])
want(paths(client.walk_file(master, "/dir")), ["/dir/", "/dir/c.txt", "/dir/deep/", "/dir/deep/b.txt"])
want(paths(client.glob_file(master, "/**.txt")), ["/dir/c.txt", "/dir/deep/b.txt", "/hello.txt"])
info = client.inspect_file(master, "/hello.old")
want((info.file_type, info.size_bytes), (pfs_proto.FILE, 12))
here = ("images", second.commit.id)
want((client.path_exists(here, "/dir"), client.path_exists(here, "/none")), (True, False))
want((get(master, "/hello.txt"), get(master, "/hello.old"), get(master, "/page.html")),
     (b"bye", b"hello, world", b"from the web"))
want(get(("images", "master^"), "/hello.txt"), b"hello, world")
assert get(master, "/big.bin") == big
with client.get_file_tar(master, "/dir") as tar:
    tar.extractall(scratch / "down")
want((scratch / "down" / "dir" / "deep" / "b.txt").read_bytes(), b"beta")

step("diff")
files = {(d.new_file if d.HasField("new_file") else d.old_file).file.path: (d.HasField("old_file"), d.HasField("new_file"))
         for d in client.diff_file(master, "/")}
want({p: how for p, how in files.items() if not p.endswith("/")},
     {"/dir/a.txt": (True, False), "/dir/c.txt": (False, True), "/hello.old": (False, True), "/hello.txt": (True, True)})

step("commits: list, subscribe, squash, drop")
want([c.commit.id for c in client.list_commit("images", to_commit=master)], [second.commit.id, first.commit.id])
assert second.commit.id in [s.commit_set.id for s in client.list_commit()]
want(next(client.subscribe_commit("images", "master", state=pfs_proto.FINISHED)).commit.id, first.commit.id)
want(next(client.inspect_commit(("images", "master"))).commit.id, second.commit.id)
client.squash_commit(first.commit.id)
want(get(master, "/dir/deep/b.txt"), b"beta")
client.put_file_bytes(master, "/oops", b"x")
third = client.wait_commit(master)[0]
client.drop_commit(third.commit.id)
want(client.inspect_branch("images", "master").head.id, second.commit.id)

step("delete")
client.create_branch("images", "dev", head_commit=master)
client.delete_branch("images", "dev")
want([b.branch.name for b in client.list_branch("images")], ["master"])
client.delete_file(master, "/dir/")
want(paths(client.list_file(master, "/")), ["/big.bin", "/hello.old", "/hello.txt", "/page.html"])
client.delete_repo("copies")
client.delete_repo("images")
want(list(client.list_repo()), [])
print("done")
