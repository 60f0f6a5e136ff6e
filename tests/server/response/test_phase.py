"""
The phases of a response, and the table of transitions.
"""

from twisted.trial.unittest import SynchronousTestCase

from twistream import (
    ClientDisconnected,
    ResponseComplete,
    SendTimeout,
    StreamAborted,
    StreamFinished,
)
from twistream.server.response.phase import TRANSITIONS, Cause, Life, Phase

HEAD, BODY, FINISHING, ABORTING, OVER = Phase

# A row for each phase, a column for each cause, as in the documentation.
TABLE: dict[Phase, tuple[Phase | None, ...]] = {
    #          emit  end        no body    abort     drained lost  cut
    HEAD: (BODY, FINISHING, FINISHING, ABORTING, None, OVER, OVER),
    BODY: (None, FINISHING, None, ABORTING, None, OVER, OVER),
    FINISHING: (None, None, None, None, OVER, OVER, OVER),
    ABORTING: (None, None, None, None, OVER, OVER, OVER),
    OVER: (None, None, None, None, None, None, None),
}

WAYS = {
    HEAD: (),
    BODY: (Cause.EMIT,),
    FINISHING: (Cause.END,),
    ABORTING: (Cause.ABORT,),
    OVER: (Cause.LOST,),
}


def life_in(phase: Phase) -> Life:
    life = Life()
    for cause in WAYS[phase]:
        life.move(cause)
    return life


class TableTests(SynchronousTestCase):
    """
    Every phase with every cause.
    """

    def test_every_row_is_as_documented(self) -> None:
        for phase, row in TABLE.items():
            for cause, goal in zip(Cause, row, strict=True):
                self.assertIs(TRANSITIONS.get((phase, cause)), goal, (phase, cause))

    def test_every_transition_of_the_table_is_made(self) -> None:
        for (phase, cause), goal in TRANSITIONS.items():
            life = life_in(phase)
            life.move(cause)
            self.assertIs(life.phase, goal)

    def test_any_other_transition_is_an_assertion_error_that_names_both_phases(self) -> None:
        goals = {cause: goal for (_, cause), goal in TRANSITIONS.items()}
        for phase in Phase:
            for cause in Cause:
                if (phase, cause) not in TRANSITIONS:
                    life = life_in(phase)
                    error = self.assertRaises(AssertionError, life.move, cause)
                    self.assertIn(f"from {phase.name} to {goals[cause].name}", str(error))
                    self.assertIs(life.phase, phase)


class LifeTests(SynchronousTestCase):
    """
    What follows from the phase.
    """

    def test_nothing_can_be_written_after_the_body(self) -> None:
        ended = [phase for phase in Phase if life_in(phase).ended]
        self.assertEqual(ended, [FINISHING, ABORTING, OVER])

    def test_only_the_body_and_a_normal_end_send_the_head(self) -> None:
        for cause, sent in {
            Cause.EMIT: True,
            Cause.END: True,
            Cause.NO_BODY: True,
            Cause.ABORT: False,
            Cause.LOST: False,
            Cause.CUT: False,
        }.items():
            life = Life()
            life.move(cause)
            self.assertIs(life.head_sent, sent, cause)

    def test_only_its_own_code_ends_it_from_within(self) -> None:
        for err, within in (
            (None, False),
            (ClientDisconnected(), False),
            (SendTimeout(1.0), False),
            (StreamAborted(), True),
            (ResponseComplete(), True),
        ):
            life = Life()
            life.err = err
            self.assertIs(life.ended_from_within, within)

    def test_code_that_uses_it_after_the_end_gets_the_reason(self) -> None:
        life = life_in(OVER)
        self.assertRaises(StreamFinished, life.raise_error)
        life.err = ClientDisconnected()
        self.assertIs(self.assertRaises(ClientDisconnected, life.raise_error), life.err)
