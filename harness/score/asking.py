"""Asking a server once more when it did not answer, and saying plainly why it never did."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from typing import Any

import requests

from harness.catalog.apis import host_of, is_local, without_key
from harness.errors import FailureKind, RunError

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the first repetition, doubled for each further one up to the longest."""
LONGEST_ASKED = 300.0
"""A server that asks to be left alone for longer (Retry-After) has given no answer."""
PASSING = {408, 409, 425, 429, *range(500, 600)}
"""Statuses after which the same request may be answered."""
FINAL = ("insufficient_quota", "billing_hard_limit_reached")
"""Codes of a 429 that no waiting mends."""
SHOWN = 300


class Unanswered(Exception):
    """One try that may go better next time. wait: seconds that the server asks for."""

    def __init__(self, kind: FailureKind, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.kind, self.wait = kind, wait


class Server:
    """Posts JSON to one address, from several threads at once."""

    def __init__(
        self, url: str, headers: Mapping[str, str], timeout: float, max_retries: int, connections: int = 1
    ) -> None:
        self._url, self._timeout, self._max_retries = url, timeout, max_retries
        self._session = requests.Session()
        self._session.auth = _Headers(headers)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=connections))
        # A proxy of the environment leads out of this network; it is no way to a server within.
        self._proxies = dict.fromkeys(("http", "https", "all")) if is_local(url) else None
        self._given_up = threading.Event()
        self._chance = random.SystemRandom()

    def give_up(self) -> None:
        """Ends every wait; nothing is asked again."""
        self._given_up.set()

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def post(self, payload: dict[str, Any], read: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
        """The server's answer, once `read` finds a text in it.

        Raises RunError where it refuses (config), is silent or busy after every repetition (timeout), or answers
        with something else (data). The key stands in no message.
        """
        tries = 0
        while True:
            try:
                return self._once(payload, read)
            except Unanswered as error:
                tries += 1
                kind, reason, wait = error.kind, without_key(str(error)), self._wait(error, tries)
            if wait is not None:
                print(f"{host_of(self._url)}: {reason}; asked again in {wait:.1f} s", file=sys.stderr)
            if wait is None or self._given_up.wait(wait):
                often = "one try" if tries == 1 else f"{tries} tries"
                raise RunError(kind, f"{host_of(self._url)} gave no answer in {often}: {reason}")

    def _wait(self, error: Unanswered, tries: int) -> float | None:
        """Seconds before the next try; None where there is none."""
        if tries > self._max_retries or (error.wait or 0.0) > LONGEST_ASKED:
            return None
        if error.wait is not None:
            return error.wait
        return min(LONGEST_WAIT, FIRST_WAIT * 2 ** (tries - 1)) * self._chance.uniform(0.75, 1.0)

    def _once(self, payload: dict[str, Any], read: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
        try:
            response = self._session.post(
                self._url, json=payload, timeout=self._timeout, proxies=self._proxies, allow_redirects=False
            )
        except requests.exceptions.SSLError as error:
            raise RunError("config", f"{host_of(self._url)}: no secure connection: {_inmost(error)}") from None
        except requests.exceptions.Timeout:
            raise Unanswered("timeout", f"nothing was heard for {self._timeout:g} s") from None
        except requests.exceptions.ConnectionError as error:
            raise Unanswered("timeout", f"the connection failed: {_inmost(error)}") from None
        except requests.exceptions.RequestException as error:
            raise Unanswered("timeout", f"the answer broke off: {_inmost(error)}") from None
        if response.status_code != HTTPStatus.OK:
            raise self._refusal(response)
        try:
            answer = response.json()
            read(answer)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            said = _said(response)[1] or "nothing"
            raise Unanswered("data", f"the answer is in another form than the protocol's: {said}") from None
        return answer

    def _refusal(self, response: requests.Response) -> Exception:
        status, code, said = response.status_code, *_said(response)
        told = f"{status} {response.reason or ''}".strip() + (f": {said}" if said else "")
        if status in PASSING and code not in FINAL:
            return Unanswered("timeout", told, _retry_after(response.headers.get("Retry-After")))
        return RunError("config", without_key(f"{host_of(self._url)} refuses the request: {told}"))


class _Headers(requests.auth.AuthBase):
    """Headers that are set last, so that no ~/.netrc replaces them, and shown nowhere."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


def _said(response: requests.Response) -> tuple[str | None, str]:
    """The code and the words of an error's body, in the form that OpenAI gives it or in another."""
    try:
        body = response.json()
    except ValueError:
        return None, _short(response.text)
    error = body.get("error", body.get("detail")) if isinstance(body, dict) else None
    if isinstance(error, dict):
        return error.get("code"), _short(str(error.get("message", error)))
    return None, _short(str(error or response.text))


def _short(text: str) -> str:
    told = " ".join(without_key(text).split())
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}…"


def _inmost(error: BaseException) -> str:
    """What a chain of wrapped errors began with."""
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return without_key(f"{type(found[-1]).__name__}: {_short(str(found[-1]))}".removesuffix(": "))


def _retry_after(value: str | None) -> float | None:
    """Seconds that a header asks to wait: their number, or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (TypeError, ValueError, OverflowError):
        return None
