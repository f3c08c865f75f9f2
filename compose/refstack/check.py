"""Health check for containers: exit status 0 when /healthz on the given port of this host answers 200.

Run as a file, by an interpreter that imports nothing it need not (`python -IS`): it is started every few seconds in
every container, and must cost the stack nothing.
"""

import socket
import sys

WITHIN_S = 1.0


def main() -> None:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), WITHIN_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        if connection.recv(64).split()[1:2] != [b"200"]:
            sys.exit("/healthz did not answer 200")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(str(error))
