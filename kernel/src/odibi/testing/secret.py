"""The conformance suite for secret stores: every sentence of :class:`odibi.contracts.SecretStore`, as tests.

A plugin that offers a store derives from it, and says how to put a secret there without the store::

    from odibi.testing.secret import SecretSuite


    class MySecretsSuite(SecretSuite):
        component = MySecrets

        def options(self, place):
            return {"vault": str(place), "timeout": 0.5}

        def plant(self, place, name, value):
            (place / name).write_text(value, newline="")

        def remove(self, place, name):
            (place / name).unlink()

:meth:`~SecretSuite.remove`, :meth:`~SecretSuite.deny` and :meth:`~SecretSuite.disconnected` are for what not every
store can show; tests that need one that is not said are left out. What a store cannot hold (an empty value, say)
stands in :attr:`~SecretSuite.cannot_hold`.

How the contract is read where it is silent: a name that leads elsewhere is refused with any ``StorageError`` that is
not retryable; after :meth:`close`, a store either goes on or raises an ``OdibiError``, and the secrets that it gave
keep their values.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import sys
import tempfile
import threading
import traceback
import warnings
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from odibi.contracts.secret import Secret
from odibi.errors import AccessDenied, NotFound, OdibiError, StorageError, Transient
from odibi.testing.component import PLANTED, ComponentSuite, close, no_secret_in, together

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

NAMES = ("alpha", "beta", "gamma", "delta")
"""Names that every store can have."""

VALUES: Mapping[str, str] = {
    "plain": PLANTED,
    "empty": "",
    "unicode": "pässwörd-ключ-密钥-\U0001f511-e\u0301",
    "lines": "-----BEGIN KEY-----\nabc\ndef\n-----END KEY-----\n",
    "carriage returns": "one\r\ntwo\rthree",
    "spaces": "  \t pl4nted in the middle \t ",
    "number": "00123",
    "word": "null",
    "quotes": "'\"`\\'\\n;--",
    "signs": "${HOME} $HOME %HOME% {{name}} {0} %s %% ~ #!&=?+/ %41",
    "json": '{"user": "me", "password": "pl4nted"}',
    "base64": "cGw0bnRlZA==",
    "long": "0123456789abcdef" * 1_500,
}
"""Kind to a value that a store gives back to the character."""

MISSING = ("alph", "alpha2", "alphabet", "alph*", "alph?", "*", "[a]lpha", "alpha' OR '1'='1", "al%70ha", "${alpha}")
"""Names of nothing, though they look like ``alpha``, or would mean it to whatever expands them."""

ODD_NAMES = {
    "empty": "",
    "dot": ".",
    "dots": "..",
    "space": " ",
    "NUL": "alpha\0",
    "NUL and more": "alpha\0.txt",
    "lines": "alpha\nX-Other: beta",
    "lone surrogate": "alpha\udcff",
    "emoji": "\U0001f511",
    "long": "n" * 5_000,
    "long unicode": "ü" * 200,
    "slash at the end": "alpha/",
    "equals sign": "alpha=beta",
}
"""Names that a store can hardly have; it says so in an error of ours."""


@contextmanager
def all_logged() -> Iterator[Callable[[], str]]:
    """What anybody logs or warns of in the ``with`` block, at any level, with tracebacks, as text."""
    records: list[str] = []
    shape = logging.Formatter("%(name)s %(message)s %(args)s")

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{shape.format(record)} {vars(record)!r}")

    root, handler = logging.getLogger(), Keep(logging.NOTSET)
    level, disabled = root.level, root.manager.disable
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.disable(logging.NOTSET)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield lambda: "\n".join([*records, *(str(each.message) for each in warned)])
    finally:
        logging.disable(disabled)
        root.setLevel(level)
        root.removeHandler(handler)


class SecretSuite(ComponentSuite):
    """Inherit it, and say how secrets get there; see the module's documentation."""

    family: ClassVar[str] = "secret"

    cannot_hold: ClassVar[Collection[str]] = ()
    """Kinds of :data:`VALUES` that cannot be planted: ``"empty"``, ``"lines"``, ``"unicode"``, ``"long"``, ..."""

    patience: ClassVar[float] = 20.0
    """Seconds after which a store that is disconnected should have given up; make its own timeout much shorter."""

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def plant(self, place: Path, name: str, value: str) -> None:
        """Put a secret there, or another value in its place, without the store.

        Args:
            place: as for :meth:`options`.
            name: one of :data:`NAMES`.
            value: which ``get`` shall give from now on.
        """
        raise NotImplementedError

    def remove(self, place: Path, name: str) -> None:  # noqa: ARG002 - a hook
        """Take a secret away, without the store. Leave it out where that cannot be done."""
        pytest.skip("the suite does not say how to remove a secret")

    def deny(self, place: Path, name: str) -> None:  # noqa: ARG002 - a hook
        """Take away the store's right to read a secret that is there. Leave it out where there are no rights."""
        pytest.skip("the suite does not say how to take away the right to a secret")

    def disconnected(self, place: Path, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - a hook
        """Keep the store from what it reads ``name`` from, for the time of the ``with`` block.

        Leave it out where nothing can be away.
        """
        pytest.skip("the suite does not say how to disconnect a store")

    # --- what the tests use -----------------------------------------------------------------------------------------

    def says(self, hook: str) -> bool:
        """Whether the suite of the component says how this is done."""
        return getattr(type(self), hook) is not getattr(SecretSuite, hook)

    def _kinds(self) -> list[str]:
        return [kind for kind in VALUES if kind not in self.cannot_hold]

    # --- what is there ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", VALUES)
    def test_a_value_comes_back_to_the_character(self, place: Path, subject: Any, kind: str) -> None:
        """Nothing is stripped, cut, expanded or decoded: it may be a key, or a password that ends in a space."""
        if kind in self.cannot_hold:
            pytest.skip(f"declared: it cannot hold {kind}")
        self.plant(place, "alpha", VALUES[kind])
        found = subject.get("alpha")
        assert isinstance(found, Secret)
        assert (found.reveal() == VALUES[kind]) is True, f"another value came back ({kind})"

    def test_each_name_has_its_own_value(self, place: Path, subject: Any) -> None:
        """In whatever order they are asked for."""
        for name in NAMES:
            self.plant(place, name, f"of-{name}")
        for name in (*NAMES, *reversed(NAMES)):
            assert subject.get(name).reveal() == f"of-{name}"

    def test_what_is_given_is_a_secret(self, place: Path, subject: Any) -> None:
        """It prints as ``***`` in every way in which people print, and does not travel."""
        self.plant(place, "alpha", PLANTED)
        found = subject.get("alpha")
        assert isinstance(found, Secret), f"it gave a {type(found).__name__}"
        shown = [repr(found), str(found), f"{found}", f"{found:>20}", "%s" % found, "{}".format(found)]  # noqa: UP031, UP032
        shown += [repr([found]), str({"x": found}), json.dumps(found, default=str), repr((found,)), f"{found!a}"]
        assert not [text for text in shown if PLANTED in text], "it shows"
        assert {repr(found), str(found), f"{found}", f"{found:>20}"} == {"***"}
        with all_logged() as logged:
            logging.getLogger("odibi.testing").warning("%s %r", found, found, extra={"secret": found})
        assert "***" in logged()
        assert PLANTED not in logged()
        for travel in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError) as caught:
                travel(found)
            assert PLANTED not in str(caught.value)

    def test_values_are_not_mixed_up_between_handles(self, place: Path, tmp_path: Path) -> None:
        """Two stores with other options look at other secrets."""
        other = tmp_path / "other"
        other.mkdir()
        if self.options(place) == self.options(other):
            pytest.skip("there is but one place")
        self.plant(place, "alpha", "here")
        self.plant(other, "alpha", "there")
        first, second = self.make(place), self.make(other)
        try:
            assert [each.get("alpha").reveal() for each in (first, second, first)] == ["here", "there", "here"]
        finally:
            close(first)
            close(second)

    # --- what is not there ------------------------------------------------------------------------------------------

    def test_a_missing_secret_is_not_found(self, place: Path, subject: Any) -> None:
        """Where nothing is and where others are; the error names it, and shows nothing of the others."""
        with no_secret_in(PLANTED) as look:
            for planted in ((), ("beta", "gamma")):
                for name in planted:
                    self.plant(place, name, PLANTED)
                    subject.get(name)
                with pytest.raises(NotFound) as caught:
                    subject.get("alpha")
                assert "alpha" in str(caught.value), "the error does not name the secret"
                look(caught.value)
                assert PLANTED not in _printed(caught.value)

    @pytest.mark.parametrize("name", MISSING)
    def test_a_name_means_itself_alone(self, place: Path, subject: Any, name: str) -> None:
        """No part, no pattern and no expression finds another secret."""
        self.plant(place, "alpha", PLANTED)
        with no_secret_in(PLANTED) as look:
            with pytest.raises(StorageError) as caught:
                subject.get(name)
            look(caught.value)
        assert not caught.value.retryable

    @pytest.mark.parametrize("kind", ODD_NAMES)
    def test_an_odd_name_is_an_error_of_ours(self, place: Path, subject: Any, kind: str) -> None:
        """Not one of whatever the name is handed to; and it is no reason to try again."""
        self.plant(place, "alpha", PLANTED)
        with no_secret_in(PLANTED) as look:
            with pytest.raises(StorageError) as caught:
                subject.get(ODD_NAMES[kind])
            look(caught.value)
        assert not caught.value.retryable, f"{kind}: it asks to be tried again"
        assert subject.get("alpha").reveal() == PLANTED

    def test_no_name_leads_elsewhere(self, place: Path, subject: Any) -> None:
        """What lies beside the place is not read, whatever way the name points there."""
        outside = place.parent / "outside"
        outside.write_text(PLANTED)
        self.plant(place, "beta", "inside")
        climbing = [
            "../outside",
            "beta/../../outside",
            "./../outside",
            "..\\outside",
            "%2e%2e/outside",
            "../place/../outside",
        ]
        absolute = [str(outside), f"file://{outside}", f"//{outside}", "/etc/hostname", "~/outside", "C:\\outside"]
        with no_secret_in(PLANTED) as look:
            for name in (*climbing, *absolute):
                with pytest.raises(StorageError) as caught:
                    subject.get(name)
                look(caught.value)
                assert not caught.value.retryable

    # --- what changes -----------------------------------------------------------------------------------------------

    def test_the_current_value_is_given(self, place: Path, subject: Any) -> None:
        """A secret that is rotated while the store is open has its new value at once; one given before stays."""
        self.plant(place, "alpha", "old")
        before = subject.get("alpha")
        for value in ("new", "n", "newer and longer", "new"):
            self.plant(place, "alpha", value)
            assert subject.get("alpha").reveal() == value
        assert before.reveal() == "old"

    def test_a_secret_that_was_missing_is_found_once_it_is_there(self, place: Path, subject: Any) -> None:
        """That it was not there is not remembered."""
        for _ in range(2):
            with pytest.raises(NotFound):
                subject.get("alpha")
        self.plant(place, "alpha", "now")
        assert subject.get("alpha").reveal() == "now"

    def test_a_secret_that_was_removed_is_missing(self, place: Path, subject: Any) -> None:
        """Also if it was asked for before."""
        self.plant(place, "alpha", PLANTED)
        subject.get("alpha")
        self.remove(place, "alpha")
        with no_secret_in(PLANTED) as look, pytest.raises(NotFound) as caught:
            subject.get("alpha")
        look(caught.value)

    def test_it_gives_what_a_model_gives(self) -> None:
        """Whatever is planted, changed, removed and asked for, in whatever order."""
        run_state_machine_as_test(
            lambda: _History(self),  # type: ignore[arg-type]  # anything that makes one will do
            settings=settings(
                deadline=None,
                max_examples=15,
                stateful_step_count=12,
                suppress_health_check=list(HealthCheck),
            ),
        )

    # --- what is in the way -----------------------------------------------------------------------------------------

    def test_missing_rights_are_access_denied(self, place: Path, subject: Any) -> None:
        """Also for a secret that could be read before; others can be read all the same, and no value shows."""
        self.plant(place, "alpha", PLANTED)
        self.plant(place, "beta", "other")
        subject.get("alpha")
        self.deny(place, "alpha")
        with no_secret_in(PLANTED) as look:
            for _ in range(2):
                with pytest.raises(AccessDenied) as caught:
                    subject.get("alpha")
                look(caught.value)
                assert not caught.value.retryable
                assert PLANTED not in _printed(caught.value)
        assert subject.get("beta").reveal() == "other"

    def test_it_gives_up_after_its_timeout(self, place: Path, subject: Any) -> None:
        """With ``Transient``, which can be tried again; and when its source is back it works again."""
        self.plant(place, "alpha", PLANTED)
        with no_secret_in(PLANTED) as look, self.disconnected(place, "alpha"):
            error = self._asked(subject, "alpha")
            assert isinstance(error, Transient), f"it gave {type(error).__name__}"
            assert error.retryable
            look(error)
            assert PLANTED not in _printed(error)
        self.plant(place, "alpha", "back")
        assert subject.get("alpha").reveal() == "back"

    def _asked(self, subject: Any, name: str) -> object:
        """What it gives or raises, in the time that it has."""
        got: list[object] = []

        def ask() -> None:
            try:
                got.append(subject.get(name))
            except BaseException as error:
                got.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(self.patience)
        assert got, f"it has not given up after {self.patience:g} s"
        return got[0]

    # --- what may not show ------------------------------------------------------------------------------------------

    def test_nothing_is_logged_or_printed(self, place: Path, subject: Any, capfd: pytest.CaptureFixture[str]) -> None:
        """Of a value, at any level, whether a secret is found or not; and nothing at all goes to standard output."""
        self.plant(place, "alpha", PLANTED)
        with all_logged() as logged:
            subject.get("alpha")
            with pytest.raises(NotFound):
                subject.get("beta")
            with pytest.raises(StorageError):
                subject.get("../alpha")
            close(self.make(place))
        printed = capfd.readouterr()
        assert PLANTED not in logged(), "it is logged"
        assert PLANTED not in printed.err, "it is printed"
        assert printed.out == ""

    def test_the_store_does_not_show_what_it_gave(self, place: Path, subject: Any) -> None:
        """Nor keep it where whoever looks at the store sees it."""
        self.plant(place, "alpha", PLANTED)
        subject.get("alpha")
        with no_secret_in(PLANTED) as look:
            look(subject)
            look(getattr(subject, "__dict__", {}))
            look([getattr(subject, each, None) for each in _slots(type(subject))])

    def test_it_leaves_no_copy(self, place: Path, subject: Any) -> None:
        """Neither in the environment, which every subprocess inherits, nor in a file."""
        # Another one each time: the environment of this process may hold that of an earlier test.
        self.plant(place, "alpha", f"{PLANTED}-{uuid4()}")
        before, environment = _holding(place.parent), dict(os.environ)
        subject.get("alpha")
        close(self.make(place))
        assert dict(os.environ) == environment, "it changed the environment"
        assert _holding(place.parent) == before, "it wrote the value to a file"
        subject.close()
        assert _holding(place.parent) == before, "it wrote the value to a file"

    # --- threads, and the end ---------------------------------------------------------------------------------------

    def test_many_threads_may_ask_at_once(self, place: Path, subject: Any) -> None:
        """Each gets what it asked for."""
        for name in NAMES[:-1]:
            self.plant(place, name, f"of-{name}")

        def ask(name: str) -> list[str]:
            found = []
            for _ in range(60):
                try:
                    found.append(subject.get(name).reveal())
                except NotFound as error:
                    found.append("missing" if name in str(error) else str(error))
            return found

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            results = together(*(lambda name=name: ask(name) for name in (*NAMES, *NAMES)))
        finally:
            sys.setswitchinterval(interval)
        wanted = [["missing" if name == NAMES[-1] else f"of-{name}"] * 60 for name in (*NAMES, *NAMES)]
        assert results == wanted

    def test_what_it_gave_outlives_it(self, place: Path) -> None:
        """A secret keeps its value when its store is closed; the store then works, or says that it does not."""
        self.plant(place, "alpha", PLANTED)
        made = self.make(place)
        found = made.get("alpha")
        close(made)
        close(made)
        assert found.reveal() == PLANTED
        with no_secret_in(PLANTED) as look:
            try:
                again = made.get("alpha")
            except OdibiError as error:
                look(error)
            else:
                assert again.reveal() == PLANTED
        close(made)

    def test_closing_one_handle_leaves_others_open(self, place: Path, subject: Any) -> None:
        """Two parts of a run may have a store of the same place each."""
        self.plant(place, "alpha", "value")
        other = self.make(place)
        assert other.get("alpha").reveal() == "value"
        close(other)
        assert subject.get("alpha").reveal() == "value"


def _printed(error: BaseException) -> str:
    """What an interpreter would print of it, causes and all."""
    return "".join(traceback.format_exception(error))


def _slots(cls: type) -> list[str]:
    return [name for base in cls.__mro__ for name in getattr(base, "__slots__", ())]


def _holding(folder: Path) -> dict[str, int]:
    """The files under a folder that hold the planted value."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and PLANTED.encode() in (data := file.read_bytes()):
            found[str(file)] = len(data)
    return found


class _History(RuleBasedStateMachine):
    """Secrets that come, change and go, and a store that is asked for them all the while."""

    def __init__(self, suite: SecretSuite) -> None:
        super().__init__()
        self.suite = suite
        self.there: dict[str, str] = {}
        self.folder = tempfile.TemporaryDirectory(prefix="odibi-secrets-")
        self.place = Path(self.folder.name, "place")
        self.place.mkdir()
        self.store: Any = suite.make(self.place)

    def teardown(self) -> None:
        close(self.store)
        self.folder.cleanup()

    @initialize()
    def first(self) -> None:
        self.plant_one("beta", "first")

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def plant(self, name: str, data: st.DataObject) -> None:
        self.plant_one(name, data.draw(_values(self.suite.cannot_hold)))

    def plant_one(self, name: str, value: str) -> None:
        self.suite.plant(self.place, name, value)
        self.there[name] = value

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        if self.suite.says("remove") and self.there.pop(name, None) is not None:
            self.suite.remove(self.place, name)

    @rule()
    def reopen(self) -> None:
        close(self.store)
        self.store = self.suite.make(self.place)

    @invariant()
    def it_gives_what_is_there(self) -> None:
        for name in NAMES:
            if name in self.there:
                assert self.store.get(name).reveal() == self.there[name]
            else:
                with pytest.raises(NotFound):
                    self.store.get(name)


def _values(cannot_hold: Collection[str]) -> st.SearchStrategy[str]:
    """Texts that a store can hold which cannot hold these kinds."""
    banned = "\0" + ("\r\n" if "lines" in cannot_hold else "") + ("\r" if "carriage returns" in cannot_hold else "")
    characters = st.characters(
        exclude_categories=["Cs"],
        exclude_characters=banned,
        max_codepoint=0x7E if "unicode" in cannot_hold else None,
        min_codepoint=0x20 if "lines" in cannot_hold else None,
    )
    texts = st.text(characters, min_size=1 if "empty" in cannot_hold else 0, max_size=40)
    return texts.filter(lambda text: text == text.strip()) if "spaces" in cannot_hold else texts
