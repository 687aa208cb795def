"""What the scripts of both Python clients share: steps that assert.

argv: an address, an empty directory, and a web server that answers /page with
"from the web" and everything else with 404.
"""

import contextlib
import pathlib
import sys

import grpc

address, scratch, web = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
big = bytes(range(256)) * 4096 * 21  # 22 MB: more than one message


def step(name):
    print("step:", name, flush=True)


def want(got, expected):
    assert got == expected, f"got {got!r}, want {expected!r}"


@contextlib.contextmanager
def refused(code, words):
    try:
        yield
    except grpc.RpcError as err:
        want(err.code(), code)
        assert words in err.details(), err.details()
        return
    raise AssertionError(f"no error, want {code} with {words!r}")


def paths(infos):
    return [i.file.path for i in infos]
