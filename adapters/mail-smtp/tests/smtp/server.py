"""A mail server for tests. It prints its port, keeps each mail as a file in the folder it is given, and ends with its input.

A recipient named `busy` is refused for now, one named `nobody` for good, and one named `slow` makes it think for a while.
With a second argument, `user:password`, it wants a login.
"""

import asyncio
import pathlib
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "slow":
            await asyncio.sleep(0.3)
        if name == "busy":
            return "451 4.3.0 try again later"
        if name == "nobody":
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        (self.folder / f"{self.count}.eml").write_bytes(envelope.content)
        return "250 OK"


def login(wanted):
    def check(server, session, envelope, mechanism, data):
        given = f"{data.login.decode()}:{data.password.decode()}"
        return AuthResult(success=given == wanted, handled=False)

    return check


async def main():
    handler = Handler(sys.argv[1])
    options = {"hostname": "localhost"}
    if len(sys.argv) > 2:
        options |= {"authenticator": login(sys.argv[2]), "auth_required": True, "auth_require_tls": False}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, **options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
