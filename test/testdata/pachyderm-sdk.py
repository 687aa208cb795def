"""What a user does with pachyderm-sdk: each step asserts what came back."""

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import AuthServiceNotActivated

from steps import address, big, paths, refused, scratch, step, want, web

client = Client.from_pachd_address(address)


def get(uri):
    with client.pfs.pfs_file(pfs.File.from_uri(uri)) as f:
        return f.read()


step("version, cluster, auth")
version = client.get_version()
want((version.major, version.minor), (2, 11))
cluster = client.admin.inspect_cluster()
assert cluster.id and cluster.deployment_id, cluster
try:
    client.auth.who_am_i()
    raise AssertionError("auth is off, and somebody is logged in")
except AuthServiceNotActivated:
    pass

step("projects and repos")
want([p.project.name for p in client.pfs.list_project()], ["default"])
client.pfs.create_project(project=pfs.Project(name="lab"), description="a lab")
assert client.pfs.project_exists(pfs.Project(name="lab"))
assert not client.pfs.project_exists(pfs.Project(name="nowhere"))
repo, other = pfs.Repo.from_uri("images"), pfs.Repo.from_uri("lab/copies")
assert not client.pfs.repo_exists(repo)
client.pfs.create_repo(repo=repo, description="pictures")
client.pfs.create_repo(repo=other)
with refused(grpc.StatusCode.ALREADY_EXISTS, "already exists"):
    client.pfs.create_repo(repo=repo)
client.pfs.create_repo(repo=repo, description="better pictures", update=True)
want(client.pfs.inspect_repo(repo=repo).description, "better pictures")
want(sorted(r.repo.as_uri() for r in client.pfs.list_repo(type="user")), ["default/images", "lab/copies"])
want([r.repo.name for r in client.pfs.list_repo(type="user", projects=[pfs.Project(name="lab")])], ["copies"])

step("branches")
master, dev = pfs.Branch.from_uri("images@master"), pfs.Branch.from_uri("images@dev")
client.pfs.create_branch(branch=master)
assert client.pfs.branch_exists(master)
assert not client.pfs.branch_exists(dev)
want([b.branch.name for b in client.pfs.list_branch(repo=repo)], ["master"])

step("a commit with files from bytes, from a directory, from a file, from a URL")
local = scratch / "up"
(local / "deep" / "er").mkdir(parents=True)
(local / "a.txt").write_text("alpha")
(local / "deep" / "b.txt").write_text("beta")
(local / "deep" / "er" / "empty").write_bytes(b"")
(scratch / "big.bin").write_bytes(big)
with client.pfs.commit(branch=master, description="first") as commit:
    file = commit.put_file_from_bytes("/hello.txt", b"hello")
    commit.put_file_from_bytes("/hello.txt", b", world", append=True)
    commit.put_files(source=local, path="/dir")
    with open(scratch / "big.bin", "rb") as source:
        commit.put_file_from_file(path="/big.bin", file=source)
    commit.put_file_from_url(path="/page.html", url=web + "/page")
    with refused(grpc.StatusCode.UNKNOWN, "404 Not Found"):
        commit.put_file_from_url(path="/none.html", url=web + "/none")
    want(client.pfs.inspect_commit(commit=commit).finishing.timestamp(), 0)
first = commit.wait()
want((first.description, first.error), ("first", ""))
assert first.finished.timestamp() > 0
want(commit.wait_all()[0].commit.id, commit.id)
want(client.pfs.inspect_branch(branch=master).head.id, commit.id)
with refused(grpc.StatusCode.UNKNOWN, "has already finished"):
    client.pfs.put_file_from_bytes(commit=commit, path="/late", data=b"x")

step("list, walk, glob, inspect")
everything = ["/", "/big.bin", "/dir/", "/dir/a.txt", "/dir/deep/", "/dir/deep/b.txt", "/dir/deep/er/",
              "/dir/deep/er/empty", "/hello.txt", "/page.html"]
root = pfs.File.from_uri("images@master:/")
want(paths(client.pfs.list_file(file=root)), ["/big.bin", "/dir/", "/hello.txt", "/page.html"])
want(paths(client.pfs.list_file(file=pfs.File.from_uri("images@master:/none"))), [])
want(paths(client.pfs.walk_file(file=root)), everything)
at = pfs.Commit.from_uri("images@master")
want(paths(client.pfs.glob_file(commit=at, pattern="/**.txt")), ["/dir/a.txt", "/dir/deep/b.txt", "/hello.txt"])
want(paths(client.pfs.glob_file(commit=at, pattern="/*")), ["/big.bin", "/dir/", "/hello.txt", "/page.html"])
want(paths(client.pfs.glob_file(commit=at, pattern="/dir/{a,b}.txt")), ["/dir/a.txt"])
info = client.pfs.inspect_file(file=pfs.File.from_uri("images@master:/hello.txt"))
want((info.file_type, info.size_bytes, len(info.hash)), (pfs.FileType.FILE, 12, 32))
want(client.pfs.inspect_file(file=pfs.File.from_uri("images@master:/dir")).file_type, pfs.FileType.DIR)
assert client.pfs.path_exists(pfs.File.from_uri("images@master:/dir"))
assert not client.pfs.path_exists(pfs.File.from_uri("images@master:/none"))

step("read back")
want(get("images@master:/hello.txt"), b"hello, world")
want(get("images@master:/dir/deep/er/empty"), b"")
want(get("images@master:/page.html"), b"from the web")
assert get("images@master:/big.bin") == big
want(b"".join(m.value for m in client.pfs.get_file(file=file, offset=7)), b"world")
with client.pfs.pfs_file(pfs.File.from_uri("images@master:/hello.txt")) as f:
    want((f.read(5), f.read()), (b"hello", b", world"))
try:
    get("images@master:/none")
    raise AssertionError("a file that is not there was read")
except ValueError as err:
    want(err.__cause__.code(), grpc.StatusCode.NOT_FOUND)
with client.pfs.pfs_tar_file(pfs.File.from_uri("images@master:/dir")) as tar:
    tar.extractall(scratch / "down")
down = scratch / "down" / "dir"
for name in ["a.txt", "deep/b.txt", "deep/er/empty"]:
    want((down / name).read_bytes(), (local / name).read_bytes())
want(sorted(str(p.relative_to(down)) for p in down.rglob("*") if p.is_file()), ["a.txt", "deep/b.txt", "deep/er/empty"])

step("a second commit: overwrite, copy, delete")
with client.pfs.commit(branch=master) as commit:
    commit.put_file_from_bytes("/hello.txt", b"bye")
    commit.copy_file(src=pfs.File.from_uri("images@master^:/dir"), dst="/copy")
    commit.copy_file(src=file, dst="/hello.old")
    commit.delete_file(path="/dir/deep/")
    commit.delete_file(path="/page.html")
second = commit.wait()
want(second.parent_commit.id, first.commit.id)
want(paths(client.pfs.walk_file(file=root)),
     ["/", "/big.bin", "/copy/", "/copy/a.txt", "/copy/deep/", "/copy/deep/b.txt", "/copy/deep/er/",
      "/copy/deep/er/empty", "/dir/", "/dir/a.txt", "/hello.old", "/hello.txt"])
want((get("images@master:/hello.txt"), get("images@master^:/hello.txt")), (b"bye", b"hello, world"))
want(get("images@master:/hello.old"), b"hello, world")
want(get(f"images@{first.commit.id}:/page.html"), b"from the web")

step("diff")
changes = {}
for d in client.pfs.diff_file(new_file=root):
    new, old = d.new_file, d.old_file
    path = (new or old).file.path
    if not path.endswith("/"):
        changes[path] = (bool(old), bool(new))
want(changes, {"/copy/a.txt": (False, True), "/copy/deep/b.txt": (False, True), "/copy/deep/er/empty": (False, True),
               "/dir/deep/b.txt": (True, False), "/dir/deep/er/empty": (True, False), "/hello.old": (False, True),
               "/hello.txt": (True, True), "/page.html": (True, False)})
want([d.new_file.file.path for d in client.pfs.diff_file(
    new_file=pfs.File.from_uri("images@master:/hello.txt"), old_file=pfs.File.from_uri("images@master^:/hello.txt"))],
    ["/hello.txt"])

step("commits: list, find, subscribe, branch off, an error")
want([c.commit.id for c in client.pfs.list_commit(repo=repo)][:2], [second.commit.id, first.commit.id])
want([c.commit.id for c in client.pfs.list_commit(repo=repo, to=at, number=1)], [second.commit.id])
assert client.pfs.commit_exists(pfs.Commit.from_uri("images@master"))
assert not client.pfs.commit_exists(pfs.Commit.from_uri("images@nothing"))
found = [r.found_commit.id for r in client.pfs.find_commits(start=at, file_path="/page.html") if r.found_commit]
want(found, [second.commit.id, first.commit.id])
seen = client.pfs.subscribe_commit(repo=repo, branch="master", state=pfs.CommitState.FINISHED)
want(first.commit.id in [next(seen).commit.id for _ in range(3)], True)  # the branch began with an empty commit
seen.close()
client.pfs.create_branch(branch=dev, head=pfs.Commit.from_uri("images@master^"))
want(get("images@dev:/hello.txt"), b"hello, world")
bad = client.pfs.start_commit(branch=dev)
client.pfs.finish_commit(commit=bad, error="no good")
want(client.pfs.wait_commit(bad).error, "no good")
client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=bad.id))
want(client.pfs.inspect_branch(branch=dev).head.id, first.commit.id)

step("file sets: one upload into two repos")
fileset = client.pfs.create_file_set(iter([
    pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/set/1", raw=b"one")),
    pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/set/2", raw=b"two")),
])).file_set_id
client.pfs.renew_file_set(file_set_id=fileset, ttl_seconds=60)
for uri in ["images@dev", "lab/copies@master"]:
    with client.pfs.commit(branch=pfs.Branch.from_uri(uri)) as commit:
        client.pfs.add_file_set(commit=commit, file_set_id=fileset)
    want(commit.wait().error, "")
    want((get(uri + ":/set/1"), get(uri + ":/set/2")), (b"one", b"two"))

step("squash and delete")
with refused(grpc.StatusCode.UNKNOWN, "cannot squash a commit that has no children"):
    client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=second.commit.id))
client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=first.commit.id))
assert not client.pfs.commit_exists(pfs.Commit.from_uri(f"images@{first.commit.id}"))
want((get("images@master:/dir/a.txt"), get("images@dev:/hello.txt")), (b"alpha", b"hello, world"))
client.pfs.delete_branch(branch=dev)
assert not client.pfs.branch_exists(dev)
want([b.branch.name for b in client.pfs.list_branch(repo=repo)], ["master"])
with refused(grpc.StatusCode.FAILED_PRECONDITION, "still exists"):
    client.pfs.delete_project(project=pfs.Project(name="lab"))
client.pfs.delete_repo(repo=other)
client.pfs.delete_project(project=pfs.Project(name="lab"))
client.pfs.delete_repo(repo=repo)
want(list(client.pfs.list_repo(type="user")), [])

step("what is not served says so")
with refused(grpc.StatusCode.UNIMPLEMENTED, "transaction_v2.API"):
    client.transaction.start_transaction()
inside = Client.from_pachd_address(address, transaction_id="0123456789ab4cdef0123456789abcde")
with refused(grpc.StatusCode.NOT_FOUND, "transactions 0123456789ab4cdef0123456789abcde not found"):
    inside.pfs.create_repo(repo=repo)
assert not client.pfs.repo_exists(repo)
print("done")
