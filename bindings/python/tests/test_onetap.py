"""The package, as an app uses it. test_onetap.py SERVER CA TOKEN ACCOUNT PORT FOLDER PCSCD"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import re
import sys
import threading
import unittest
from pathlib import Path
from typing import Any

import onetap
from onetap import _onetap
from rig import Rig, SocketPort

rig = Rig(sys.argv[1:6])
folder, pcscd = Path(sys.argv[6]), sys.argv[7] == "1"
CODE = "BCD\n002\n1\nSCT\n\nShop\nDE89370400440532013000\n{}\n\n\nOrder 17\n"
NO_WAIT = onetap.Limits(tap=0.05)
# A service that is not there is given a second to start.
SOON = onetap.Limits(tap=2)


class Odd:
    """A reader whose card does what it is told to."""

    def __init__(self, **does: Any) -> None:
        self.does = does

    def _do(self, name: str, otherwise: Any) -> Any:
        does = self.does.get(name, otherwise)
        if isinstance(does, BaseException):
            raise does
        return does

    def present(self, wait: float) -> Any:
        return self._do("present", True)

    def connect(self) -> Any:
        return self._do("connect", b"")

    def transmit(self, command: bytes) -> Any:
        return self._do("transmit", b"\x6a\x82")

    def disconnect(self, power_off: bool) -> Any:
        return self._do("disconnect", None)


class Payments(unittest.TestCase):
    def test_a_payment_tells_its_events_and_its_end(self) -> None:
        with rig.till() as till, till.pay(rig.coffee(), key="order-17") as payment:
            heard = []
            for event in payment:
                heard.append((event.what, event.step))
                if event.step == "holder":
                    payment.type_in(rig.reads_the_display())
            steps = ["check", "tap", "removal", "holder", "sending"]
            self.assertEqual([step for what, step in heard if what == "began"], steps)
            assert event.outcome and event.outcome.receipt
            self.assertEqual((event.outcome.result, event.outcome.receipt.minor), ("executed", 1))
            self.assertEqual(payment.next(), event, "told again")
            self.assertEqual([kept.outcome for kept in till.attempts()], [event.outcome])
            payment.close()
            self.assertEqual(till.attempts(), [], "the app is done with it")

    def test_asyncio_follows_a_payment_and_a_task_that_is_cancelled_loses_nothing(self) -> None:
        async def pay() -> onetap.Outcome:
            with rig.till() as till:
                async with till.pay(rig.coffee()) as payment:
                    events, heard = aiter(payment), []
                    while True:
                        try:
                            event = await asyncio.wait_for(anext(events), 0.0005)
                        except asyncio.TimeoutError:
                            continue
                        heard.append(event.what)
                        if event.step == "holder":
                            # Nothing happens before it is typed in.
                            with self.assertRaises(asyncio.TimeoutError):
                                await asyncio.wait_for(anext(events), 0.0005)
                            payment.type_in(await asyncio.to_thread(rig.reads_the_display))
                        if event.outcome:
                            self.assertEqual((heard.count("began"), heard.count("signed")), (5, 1))
                            return event.outcome

        self.assertTrue(asyncio.run(pay()).executed)

    def test_asyncio_raises_what_ended_it(self) -> None:
        async def pay() -> None:
            with rig.till(port=Odd()) as till:
                async with till.pay(rig.coffee()) as payment:
                    async for _ in payment:
                        pass

        with self.assertRaises(onetap.CardError):
            asyncio.run(pay())

    def test_what_is_lost_is_resolved(self) -> None:
        with rig.till(journal=folder / "journal") as till:
            while True:
                try:
                    with till.pay(rig.coffee()) as payment:
                        rig.follow(payment, stop=True)
                except onetap.UnknownOutcomeError as error:
                    lost = error.transaction
                    break
        with rig.till(journal=folder / "journal") as till:
            [attempt] = till.attempts()
            self.assertEqual((attempt.id, attempt.outcome), (lost, None))
            self.assertEqual(attempt.transaction, rig.coffee().checked())
            with self.assertRaises(onetap.ArgumentError):
                till.forget(lost)
            # A file that was damaged, of a payment of which the server has never heard.
            [file] = [file for file in (folder / "journal").iterdir() if lost in file.name]
            other = lost[:-1] + ("0" if lost[-1] != "0" else "1")
            (folder / "journal" / file.name.replace(lost, other)).write_text("")
            with self.assertRaises(onetap.NotYetError):
                till.resolve(other)
            self.assertIn(till.resolve(lost).result, ["executed", "cancelled"])
            till.forget(lost)
            self.assertEqual([kept.id for kept in till.attempts()], [other])

    def ends(self, **more: Any) -> None:
        with rig.till(**more) as till, till.pay(rig.coffee()) as payment:
            for _ in payment:
                pass

    def test_each_kind_of_error_that_ends_a_payment_has_its_exception(self) -> None:
        nobody = "https://127.0.0.1:1"
        for error, more in [
            (onetap.CardError, dict(port=Odd())),
            (onetap.TimeUpError, dict(port=Odd(present=False), limits=NO_WAIT)),
            (onetap.NotReadyError, dict(terminal="POS00002")),
            (onetap.ServerError, dict(server=nobody)),
            (onetap.ServerError, dict(ca=None)),
            (onetap.ReaderError if pcscd else onetap.ServiceError, dict(port=None, reader="none", limits=SOON)),
        ]:
            with self.subTest(error), self.assertRaises(error) as caught:
                self.ends(**more)
            assert isinstance(caught.exception, onetap.OneTapError)
            self.assertTrue(caught.exception.cause and caught.exception.cure)
        with self.assertRaises(onetap.CancelledError), rig.till(port=Odd(present=False)) as till:
            with till.pay(rig.coffee()) as payment:
                payment.cancel()
                for _ in payment:
                    pass
        with self.assertRaises(onetap.JournalError):
            rig.till(journal="/proc/journal")

    def test_a_reader_that_raises_or_gives_nonsense_ends_the_payment_with_its_cause(self) -> None:
        for does in [dict(connect=OSError("no field")), dict(transmit=KeyboardInterrupt()), dict(present=SystemExit(1))]:
            [raised] = does.values()
            with self.subTest(does), self.assertRaises(onetap.CallbackError) as caught:
                self.ends(port=Odd(**does))
            self.assertIs(caught.exception.__cause__, raised)
        for does in [dict(connect="text"), dict(transmit=None)]:
            with self.subTest(does), self.assertRaises(onetap.CallbackError) as caught:
                self.ends(port=Odd(**does))
            self.assertIsInstance(caught.exception.__cause__, TypeError)
        with self.assertRaises(onetap.CallbackError):
            self.ends(port=object())


class Traces(unittest.TestCase):
    def pays(self, **more: Any) -> onetap.Outcome:
        """With a trace in the place of card and reader, whose display nobody can read."""
        transaction = more.pop("transaction", rig.coffee())
        with rig.till(port=None, **more) as till, till.pay(transaction) as payment:
            for event in payment:
                if event.step == "holder":
                    payment.type_in("12345678")
            assert event.outcome
            return event.outcome

    def test_a_payment_is_recorded_and_its_trace_pays_in_the_place_of_card_and_reader(self) -> None:
        file = folder / "recorded.jsonl"
        file.parent.mkdir(exist_ok=True)
        with rig.till(record=file) as till, till.pay(rig.coffee()) as payment:
            self.assertTrue(rig.follow(payment).executed)
        trace = file.read_text()
        for word in ["field-in", "alias", "signature-valid", "field-out"]:
            self.assertIn(word, trace)
        with self.assertRaises(onetap.TraceError):
            rig.till(record=file)
        # What it signed was another payment: the server must not take it for this one.
        self.assertEqual(self.pays(trace=trace).result, "refused")
        with self.assertRaises(onetap.TraceError) as caught:
            self.pays(trace=trace, transaction=rig.coffee(amount="0.02"))
        self.assertRegex(caught.exception.cause, r"(?s)line \d+: → PUT TXN 0\.01 EUR.*before.*expected +PUT TXN with amount.*1.*got +.*2")
        self.assertIn("nothing was sent", caught.exception.cure)
        with self.assertRaises(onetap.TraceError) as caught:
            self.pays(trace=trace, strict=True)
        self.assertRegex(caught.exception.cause, r"(?s)expected .*unpredictable-number.*got .*unpredictable-number")
        with self.assertRaises(onetap.ArgumentError):
            rig.till(trace=trace)
        with self.assertRaises(onetap.TraceError):
            self.pays(trace="{}")
        self.assertTrue(onetap.export_trace("pcap", trace).startswith(b"\xd4\xc3\xb2\xa1"))
        self.leaves(trace.splitlines())
        dump = onetap.export_trace("apdu4j", trace)
        self.assertEqual(onetap.import_trace("apdu4j", dump, "").count('"response"'), trace.count('"response"'))


    def leaves(self, lines: list[str]) -> None:
        """A card that leaves in the trace is tapped again, after a moment."""
        first = next(n for n, line in enumerate(lines) if "command" in line)
        trace = "\n".join([*lines[: first + 1], '{"no-response":{}}'])
        heard = []
        with self.assertRaises(onetap.TimeUpError):
            with rig.till(port=None, trace=trace, limits=NO_WAIT) as till, till.pay(rig.coffee()) as payment:
                for event in payment:
                    heard.append(event.what)
        self.assertEqual(heard.count("tap-again"), 1)


class Values(unittest.TestCase):
    def test_transactions_come_from_json_codes_and_urls(self) -> None:
        self.assertEqual(onetap.Transaction.from_scan(CODE.format("EUR5")).amount, "5.00")
        self.assertEqual(onetap.Transaction.from_scan(CODE.format("").encode(), amount="7").amount, "7.00")
        with self.assertRaises(onetap.AmountMissingError):
            onetap.Transaction.from_scan(CODE.format(""))
        for wrong in [
            lambda: onetap.Transaction.from_json("[]"),
            lambda: onetap.Transaction.from_scan("WIFI:"),
            lambda: onetap.Transaction.from_url("http://192.0.2.1/"),
            lambda: rig.coffee(amount="0").checked(),
        ]:
            with self.assertRaises(onetap.TransactionError):
                wrong()

    def test_traces_are_made_of_logs_and_shown(self) -> None:
        trace = onetap.import_trace("apdu4j", b"00EE0000\n6E00\n", "one card")
        self.assertTrue(onetap.show_trace(trace).startswith("one card\n"))
        for wrong in [lambda: onetap.show_trace("{}"), lambda: onetap.import_trace("apdu4j", b"no log\n", "")]:
            with self.assertRaises(onetap.TraceError):
                wrong()

    def test_wrong_types_are_type_errors_and_wrong_values_argument_errors(self) -> None:
        for wrong in [
            lambda: onetap.Till(terminal=1, server=rig.server),  # type: ignore[arg-type]
            lambda: rig.till(journal=3),
            lambda: onetap.show_trace(b"{}"),  # type: ignore[arg-type]
            lambda: onetap.import_trace("apdu4j", "text", ""),  # type: ignore[arg-type]
            lambda: onetap.readers("soon"),  # type: ignore[arg-type]
        ]:
            with self.assertRaises(TypeError):
                wrong()
        with self.assertRaises(ValueError):
            onetap.readers(-1)
        with rig.till() as till:
            for wrong_payment in [None, "coffee", rig.coffee(amount=4.2), rig.coffee(payee_name=b"Shop")]:
                with self.assertRaises((TypeError, AttributeError)):
                    till.pay(wrong_payment)
        for more in [dict(terminal="far too long for one"), dict(server="http://192.0.2.1"), dict(token=None)]:
            with self.subTest(more), self.assertRaises(onetap.ArgumentError):
                rig.till(**more)
        with self.assertRaises(onetap.ArgumentError):
            onetap.import_trace("word", b"", "")
        with self.assertRaises(onetap.ArgumentError):
            onetap.export_trace("word", "{}")

    def test_errors_are_values(self) -> None:
        error = onetap.errors.of_kind("not-ready", "a cause", "a cure", "")
        copy = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(copy), copy.cause, copy.cure, copy.kind), (onetap.NotReadyError, "a cause", "a cure", "not-ready"))
        newer = onetap.errors.of_kind("of-tomorrow", "a cause", "a cure", "")
        self.assertEqual((type(newer), newer.kind), (onetap.OneTapError, "of-tomorrow"))

    def test_the_stubs_name_what_the_module_has(self) -> None:
        stubs = (Path(onetap.__file__).parent / "_onetap.pyi").read_text()
        named = set(re.findall(r"^(?:def )?(\w+)[(:]", stubs, re.MULTILINE))
        self.assertEqual(named, {name for name in dir(_onetap) if not name.startswith("_")})


class Handles(unittest.TestCase):
    def test_what_is_closed_says_so_and_may_be_closed_again(self) -> None:
        till = rig.till(port=Odd(present=False))
        payment = till.pay(rig.coffee())
        for closed in [payment, till]:
            closed.close()
            closed.close()
        for call in [payment.next, payment.cancel, lambda: payment.type_in("12345678"), till.attempts]:
            with self.assertRaises(onetap.ClosedError):
                call()
        self.assertEqual(onetap.open_handles(), 0)

    def test_what_is_forgotten_is_closed(self) -> None:
        till = rig.till(port=Odd(present=False))
        self.assertEqual(onetap.open_handles(), 1)
        del till
        gc.collect()
        self.assertEqual(onetap.open_handles(), 0)

    def test_a_second_thread_or_payment_is_told_that_it_is_busy(self) -> None:
        with rig.till(port=Odd(present=False)) as till, till.pay(rig.coffee()) as payment:
            with self.assertRaises(onetap.BusyError):
                till.pay(rig.coffee())
            ended: list[BaseException] = []

            def follow() -> None:
                try:
                    for _ in payment:
                        pass
                except onetap.OneTapError as error:
                    ended.append(error)

            thread = threading.Thread(target=follow)
            thread.start()
            with self.assertRaises(onetap.BusyError):
                while True:
                    payment.next(0)
            payment.close()
            thread.join()
            self.assertIsInstance(ended[0], (onetap.ClosedError, onetap.CancelledError))

    def test_a_process_that_was_forked_off_gets_one_clear_error(self) -> None:
        with rig.till() as till:
            child = os.fork()
            if child == 0:
                refused = 0
                for call in [till.attempts, till.close, onetap.open_handles, lambda: rig.till()]:
                    try:
                        call()
                    except onetap.ForkedError as error:
                        refused += bool(error.cure)
                os._exit(0 if refused == 4 else 1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.assertEqual(till.attempts(), [])

    def test_watches_tell_what_is_there(self) -> None:
        with onetap.Watch() as watch:
            self.assertEqual(watch.next(60).change, "service-up" if pcscd else "service-down")
            if pcscd:
                self.assertEqual(watch.next(60).reader, "Virtual PCD 00 00")

        async def first() -> onetap.Seen:
            async with onetap.Watch() as watch:
                async for seen in watch:
                    return seen
            raise AssertionError("it ended")

        self.assertEqual(asyncio.run(first()).change, "service-up" if pcscd else "service-down")
        with self.assertRaises(onetap.ClosedError):
            watch.next()
        if pcscd:
            self.assertIn("Virtual PCD 00 00", onetap.readers())
        else:
            with self.assertRaises(onetap.ServiceError):
                onetap.readers()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
