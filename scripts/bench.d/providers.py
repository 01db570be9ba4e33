"""Stands in for providers, in a process of its own: WhatsApp and SMS over HTTP, a mail server. It answers at once, and notes what came when.

Run as a script it serves until it is ended; `Providers` starts it, and asks what came.
"""

import asyncio
import http.client
import json
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
TO = [re.compile(rb'"(?:to|mobiles)" *: *"\+?(\d+)"'), re.compile(rb"(?:^|&)To=%2B(\d+)"), re.compile(rb"(?im)^RCPT TO:<([^>]+)>")]


class Arrivals:
    """When what came, in the clock that all processes of a machine share."""

    def __init__(self):
        self.came = []

    def note(self, body):
        self.came.append((time.monotonic(), body))
        return len(self.came)

    def told(self):
        found = ((at, next((m for m in (to.search(body) for to in TO) if m), None)) for at, body in self.came)
        return [(at, match.group(1).decode() if match else None) for at, match in found]


class Http(asyncio.Protocol):
    def __init__(self, arrivals):
        self.arrivals, self.read = arrivals, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.read += data
        while (end := self.read.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self.read, 0, end + 2)
            end += 4
            whole = end + (int(length.group(1)) if length else 0)
            if len(self.read) < whole:
                return
            target, body = self.read.split(b" ", 2)[1], self.read[end:whole]
            self.read = self.read[whole:]
            answer = self.answer(target, body)
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer)
            )

    def answer(self, target, body):
        if target == b"/came":
            return json.dumps(self.arrivals.told()).encode()
        if target == b"/count":
            return b"%d" % len(self.arrivals.came)
        if target == b"/forget":
            self.arrivals.came.clear()
            return b"{}"
        number = self.arrivals.note(body)
        if target.endswith(b"Messages.json"):
            return b'{"sid":"SM%d-%d","status":"queued"}' % (id(self), number)
        if target.endswith(b"/flow"):
            return b'{"type":"success","message":"%d-%d"}' % (id(self), number)
        return b'{"messaging_product":"whatsapp","contacts":[],"messages":[{"id":"wamid.%d-%d"}]}' % (id(self), number)


class Smtp(asyncio.Protocol):
    def __init__(self, arrivals):
        self.arrivals, self.read, self.recipient = arrivals, b"", b""

    def connection_made(self, transport):
        self.transport, self.reading_letter = transport, False
        transport.write(b"220 bench\r\n")

    def data_received(self, data):
        self.read += data
        while True:
            end = self.read.find(b"\r\n.\r\n" if self.reading_letter else b"\r\n")
            if end < 0:
                return
            if self.reading_letter:
                self.read, self.reading_letter = self.read[end + 5:], False
                self.arrivals.note(self.recipient)
                self.transport.write(b"250 taken\r\n")
                continue
            line, self.read = self.read[:end], self.read[end + 2:]
            word = line[:4].upper()
            if word == b"DATA":
                self.reading_letter = True
            elif word == b"RCPT":
                self.recipient = line
            said = {b"EHLO": b"250-bench\r\n250 8BITMIME\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
            self.transport.write(said.get(word, b"250 ok\r\n"))


async def serve():
    arrivals, loop = Arrivals(), asyncio.get_running_loop()
    servers = [await loop.create_server(lambda kind=kind: kind(arrivals), "127.0.0.1", 0) for kind in (Http, Smtp)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


class Providers:
    """The stand-in, started, and what nadi has to be told to find it."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
        self.http, self.smtp = map(int, self.process.stdout.readline().split())

    def environment(self):
        http = f"http://127.0.0.1:{self.http}"
        return {"NADI_WHATSAPP_BASE_URL": http, "NADI_SMS_BASE_URL": http, "NADI_SMTP_URL": f"smtp://127.0.0.1:{self.smtp}"}

    def ask(self, what):
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=60)
        connection.request("GET", f"/{what}")
        return json.loads(connection.getresponse().read())

    def stop(self):
        self.process.terminate()
        self.process.wait()


if __name__ == "__main__":
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        pass
