"""The proxy that stands in front of a deployed site: it speaks TLS, and says so to the site behind it."""

import http.client
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TLS_HELLO = b"\x16"  # the first byte of every TLS connection, and of no HTTP request
# Headers about one line, not about what goes over it.
BETWEEN_TWO = {"connection", "keep-alive", "transfer-encoding", "content-length"}


def certificate_for(host: str, folder: Path) -> Path:
    """A certificate that vouches for itself, with its key, in one file."""
    file = folder / f"{host}.pem"
    made = file.with_suffix(".crt")
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={host} -addext subjectAltName=DNS:{host}"
    subprocess.run([*command.split(), "-keyout", file, "-out", made], check=True, capture_output=True)
    file.write_text(file.read_text() + made.read_text())
    return file


class Handler(BaseHTTPRequestHandler):
    server: "Proxy"
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        self.scheme = "http"
        if self.request.recv(1, 2) == TLS_HELLO:  # 2: MSG_PEEK, also where the socket module has no such name
            self.scheme = "https"
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in BETWEEN_TWO and not name.lower().startswith("x-forwarded-")
        }
        headers |= {"X-Forwarded-Proto": self.scheme, "X-Forwarded-For": self.client_address[0], **self.server.extra}
        line = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=20)
        line.request(self.command, self.path, body, headers)
        reply = line.getresponse()
        content = reply.read()
        self.send_response_only(reply.status, reply.reason)
        for name, value in reply.getheaders():
            if name.lower() not in BETWEEN_TWO:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        line.close()

    do_GET = do_HEAD = do_POST = do_OPTIONS = forward

    def log_message(self, *args: Any) -> None:
        pass


class Proxy(ThreadingHTTPServer):
    """Takes HTTP and HTTPS at one port, so that the site's redirects from one to the other lead back to it."""

    daemon_threads = True

    def __init__(self, behind: int, certificate: Path, extra: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind, self.port, self.extra = behind, self.server_address[1], extra
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)


@contextmanager
def proxy(behind: int, certificate: Path, **extra: str) -> Iterator[int]:
    """Runs in a thread; gives its port. behind: the port of the site; extra: headers for it, such as a cookie."""
    server = Proxy(behind, certificate, extra)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.port
    finally:
        server.shutdown()
        server.server_close()
