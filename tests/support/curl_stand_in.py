"""Does what the banner's lines ask of curl, for a machine that has none: `-s -i -H -d -o -w` and an address."""

import argparse
import sys
import urllib.error
import urllib.request


def main(arguments: list[str]) -> int:
    """Send the request and print as curl would. Returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d")
    parser.add_argument("-o")
    parser.add_argument("-w", default="")
    parser.add_argument("url")
    asked = parser.parse_args(arguments)
    headers = dict(line.split(": ", 1) for line in asked.H)
    request = urllib.request.Request(asked.url, None if asked.d is None else asked.d.encode(), headers)
    try:
        reply = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        body = reply.read()
        if asked.i:
            lines = [
                f"HTTP/1.1 {reply.status} {reply.reason}",
                *(f"{name}: {value}" for name, value in reply.getheaders()),
            ]
            sys.stdout.write("\n".join(lines) + "\n\n")
    if asked.o is None:
        sys.stdout.write(body.decode())
    sys.stdout.write(asked.w.replace("%{size_download}", str(len(body))).replace("\\n", "\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
