"""A client program that does what it is told: one JSON request per line in, one JSON answer per line out.

  in   {"id": 1, "op": "produce", "args": {...}}
  out  {"id": 1, "result": ...}  or  {"id": 1, "error": {"code": 36, "message": "..."}}

Requests run side by side, as a consumer must go on polling while another is asked about.
"""

import json
import os
import sys
import threading
import traceback

_answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what a library prints must not end up among the answers
_lock = threading.Lock()


def _answer(message):
    with _lock:
        _answers.write(json.dumps(message) + "\n")


def _run(operations, error_code, request):
    try:
        result = operations[request["op"]](**request["args"])
        _answer({"id": request["id"], "result": result})
    except Exception as error:
        if os.environ.get("INTEROP_DEBUG"):
            traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        _answer({"id": request["id"], "error": {"code": error_code(error), "message": message}})


def serve(operations, error_code):
    """operations: name -> function of keyword arguments; error_code: exception -> Kafka's error code, or None."""
    for line in sys.stdin:
        request = json.loads(line)
        threading.Thread(target=_run, args=(operations, error_code, request), daemon=True).start()
    _answers.flush()
    os._exit(0)


class GroupMember:
    """Polls in a thread of its own; whatever touches the consumer is done by that thread."""

    def __init__(self, poll, commit, assignment, close):
        self._poll, self._commit, self._read_assignment, self._close = poll, commit, assignment, close
        self._condition = threading.Condition()
        self._records, self._wishes, self._assignment, self._failure, self._leaving = [], [], [], None, False
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self):
        try:
            while not self._leaving:
                records = self._poll()
                assignment = self._read_assignment()
                with self._condition:
                    self._records += records
                    self._assignment = assignment
                    wishes, self._wishes = self._wishes, []
                    self._condition.notify_all()
                for done in wishes:
                    self._commit()
                    done.set()
        except Exception as error:
            with self._condition:
                self._failure = error
                self._condition.notify_all()
        finally:
            self._close()

    def take(self, count, timeout_ms):
        with self._condition:
            self._condition.wait_for(lambda: self._failure or len(self._records) >= count, timeout_ms / 1000)
            if self._failure:
                raise self._failure
            taken, self._records = self._records[:count], self._records[count:]
            return taken

    def commit(self):
        done = threading.Event()
        with self._condition:
            self._wishes.append(done)
        if not done.wait(60):
            raise self._failure or TimeoutError("commit")

    def assignment(self):
        with self._condition:
            if self._failure:
                raise self._failure
            return sorted(self._assignment)

    def leave(self):
        self._leaving = True
        self._thread.join(60)
        if self._failure:
            raise self._failure


def group_operations(join):
    """The operations on members of groups, given join(**args) -> GroupMember."""
    members = {}

    def do_join(member, **args):
        members[member] = join(**args)

    return {
        "join": do_join,
        "assignment": lambda member: members[member].assignment(),
        "poll": lambda member, count, timeoutMs=60000: members[member].take(count, timeoutMs),
        "commit": lambda member: members[member].commit(),
        "leave": lambda member: members.pop(member).leave(),
    }


def text(value):
    return None if value is None else value.decode()


def data(value):
    return None if value is None else value.encode()
