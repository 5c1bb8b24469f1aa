"""Clear messages for network errors, which say whether the server, the proxy or a certificate is the cause."""

import re
import ssl
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from hermes_cli.network.proxies import Proxy

if TYPE_CHECKING:
    import httpx2

Kind = Literal["timeout", "unreachable", "lost", "certificate", "proxy", "address"]
_CERTIFICATE_HINT = "check the clock and the proxy; SSL_CERT_FILE=FILE names other certificates to trust"
_NETWORK_HINT = "check the network and the address"
_FINAL_REFUSALS = re.compile(r"40[0-7]|not allowed|password|from proxy server")


class NetworkProblem(Exception):
    """Why a request failed, in one sentence. `is_temporary`: the same request may succeed later."""

    def __init__(self, kind: Kind, message: str, hint: str = _NETWORK_HINT, *, is_temporary: bool = False) -> None:
        super().__init__(message)
        self.kind, self.hint, self.is_temporary = kind, hint, is_temporary


class Exchange:
    """One request: to which server, through which proxy, since when."""

    def __init__(self, url: "httpx2.URL", proxy: Proxy | None) -> None:
        self._host = url.netloc.decode("ascii", "replace")
        self._proxy = proxy
        self._started = time.monotonic()

    def problem(self, error: Exception) -> Exception:
        """The NetworkProblem that an error of httpcore2 stands for; any other error as it is."""
        import httpcore2

        match error:
            case NetworkProblem():
                return error
            case httpcore2.TimeoutException():
                waited_s = time.monotonic() - self._started
                where = self._nearest() if isinstance(error, httpcore2.ConnectTimeout) else self._through_proxy()
                return NetworkProblem(
                    "timeout", f"{where} does not answer (waited {waited_s:.0f} s)", is_temporary=True
                )
            case httpcore2.ProxyError():
                return self._refused_by_proxy(str(error))
            case httpcore2.ConnectError():
                return self._not_connected(error)
            case httpcore2.NetworkError() | httpcore2.ProtocolError():
                return NetworkProblem("lost", f"the connection to {self._through_proxy()} was lost", is_temporary=True)
        if self._proxy and self._proxy.url.startswith(
            "socks"
        ):  # what its library says of an answer in another protocol
            hint = f"set {self._proxy.variable} to the address of a SOCKS5 proxy"
            return NetworkProblem("proxy", f"{self._proxy} does not speak SOCKS5", hint)
        return error

    def _not_connected(self, error: Exception) -> NetworkProblem:
        causes = list(_causes(error))
        unsure = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
        if unsure:
            message = f"TLS certificate verification failed for {self._through_proxy()}: {unsure.verify_message}"
            return NetworkProblem("certificate", message, _CERTIFICATE_HINT)
        insecure = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
        if insecure:
            reason = (insecure.reason or str(insecure)).replace("_", " ").lower()
            message = f"no secure connection to {self._through_proxy()}: {reason}"
            return NetworkProblem("unreachable", message, is_temporary=True)
        words = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
        message = f"cannot reach {self._nearest()}: {words}"
        hint = f"check the proxy and {self._proxy.variable}" if self._proxy else _NETWORK_HINT
        return NetworkProblem("unreachable", message, hint, is_temporary=True)

    def _refused_by_proxy(self, words: str) -> NetworkProblem:
        assert self._proxy
        reason = re.sub(r"^Proxy Server could not connect: ", "", words).strip().rstrip(".")
        message = f"{self._proxy} refuses to connect to {self._host}: {reason}"
        needs_password = "407" in words or "from proxy server" in words or "password" in words
        hint = f"check {self._proxy.variable}, or set NO_PROXY={self._host} to connect directly"
        if needs_password:
            scheme = self._proxy.url.partition("://")[0]
            hint = f"put the user name and password into {self._proxy.variable}: {scheme}://USER:PASSWORD@HOST:PORT"
        return NetworkProblem("proxy", message, hint, is_temporary=not _FINAL_REFUSALS.search(words))

    def _nearest(self) -> str:
        return str(self._proxy) if self._proxy else self._host

    def _through_proxy(self) -> str:
        return f"{self._host} (through {self._proxy})" if self._proxy else self._host


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__
