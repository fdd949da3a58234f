"""The scheduler's decisions (catalogue 12, 2.8, 2.14; threats F04, T85), without processes or clocks."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from llmsite.engine.scheduler import BUSY
from llmsite.engine.seating import Ticket
from llmsite.types.chunk import Phase
from llmsite.types.errors import Busy, Canceled, LoadFailed, NotEnoughMemory
from llmsite.types.limits import GIB, MIB, Limits
from tests.engine.fake_effects import FACTS, Desk, make_spec

A, B, C, D = (make_spec(name) for name in "abcd")


def test_it_loads_a_model_and_seats_who_waited() -> None:
    desk = Desk()
    tickets = [desk.ask(A) for _ in range(3)]
    assert desk.log == ["load a"]
    desk.ready()
    assert desk.log == ["grant a"] * 3
    desk.release(*tickets)
    desk.ask(A)
    assert desk.log == ["grant a"]


def test_names_that_share_a_file_share_a_runner() -> None:
    desk = Desk()
    desk.load(A)
    desk.ask(make_spec("alias", model_path=A.model_path))
    assert desk.log == ["grant alias"]
    assert [model.name for model in desk.scheduler.running(0, 0)] == ["alias:latest"]


def test_adapters_make_another_runner() -> None:
    desk = Desk()
    desk.load(A)
    desk.ask(make_spec("tuned", model_path=A.model_path, adapters=(("/lora", 1.0),)))
    assert desk.log == ["load tuned"]


def test_one_load_at_a_time_in_order_while_loaded_models_go_on() -> None:
    desk = Desk()
    desk.load(A)
    desk.ask(B)
    desk.ask(C)
    desk.ask(A)
    assert desk.log == ["load b", "grant a"]
    desk.ready()
    assert desk.log == ["grant b", "load c"]


def test_requests_beyond_the_slots_wait_for_one() -> None:
    desk = Desk(num_parallel=2)
    desk.load(A)
    tickets = [desk.ask(A, user=str(number)) for number in range(4)]
    assert desk.log == ["grant a 0", "grant a 1"]
    desk.release(tickets[0])
    assert desk.log == ["grant a 2"]
    desk.release(tickets[1])
    assert desk.log == ["grant a 3"]


def test_a_request_without_slot_waits_for_none() -> None:
    desk = Desk(num_parallel=1)
    desk.load(A)
    desk.ask(A)
    counting = desk.ask(A, needs_slot=False)
    assert desk.log == ["grant a", "grant a"]
    assert desk.scheduler.running(0, 0)[0].num_busy_slots == 1
    desk.release(counting)


class TestQueue:
    def test_everybody_without_a_slot_counts_on_a_loaded_model(self) -> None:
        desk = Desk(num_parallel=4, max_queue=8)
        desk.load(A)
        tickets = [desk.ask(A) for _ in range(13)]
        assert desk.log == ["grant a"] * 4 + ["refuse a Busy"]
        assert str(desk.effects.errors[tickets[-1]]) == "server busy, please try again.  maximum pending requests exceeded"

    def test_everybody_counts_while_loading(self) -> None:
        desk = Desk(max_queue=8)
        for _ in range(20):
            desk.ask(A)
        assert desk.log == ["load a"] + ["refuse a Busy"] * 12

    def test_a_cancelled_request_makes_room(self) -> None:
        desk = Desk(max_queue=2)
        first, _ = desk.ask(A), desk.ask(A)
        desk.cancel(first)
        desk.ask(A)
        assert "refuse a Busy" not in desk.log

    def test_without_a_queue_a_model_can_still_be_loaded(self) -> None:
        desk = Desk(max_queue=0)
        desk.ask(A)
        desk.ask(A)
        assert desk.log == ["load a", "refuse a Busy"]

    @pytest.mark.parametrize(("user", "expected"), [("alice", 2), ("", 9)])
    def test_the_share_per_user_binds_named_users_only(self, user: str, expected: int) -> None:
        desk = Desk(max_queue=9, limits=Limits(queue_per_user=2))
        for _ in range(12):
            desk.ask(A, user=user)
        assert desk.log.count("refuse a Busy") == 12 - expected

    def test_others_may_still_wait_when_a_user_has_used_up_his_share(self) -> None:
        desk = Desk(limits=Limits(queue_per_user=2))
        for user in ("alice", "alice", "alice", "bob"):
            desk.ask(A, user=user)
        assert desk.log == ["load a", "refuse a Busy"]

    @pytest.mark.parametrize("num_parallel", [1, 4])
    def test_a_greedy_user_delays_another_by_at_most_two_answers(self, num_parallel: int) -> None:
        desk = Desk(num_parallel=num_parallel)
        desk.load(A)
        seated = [desk.ask(A, user="alice") for _ in range(30)][:num_parallel]
        bob = desk.ask(A, user="bob")
        desk.forget()
        desk.release(seated[0])
        if bob.runner is None:
            desk.release(next(each for each in desk.effects.loaded[0].seated if each.user == "alice"))
        assert bob.runner is not None

    def test_users_alternate(self) -> None:
        desk = Desk(num_parallel=1)
        desk.load(A)
        current = desk.ask(A, user="alice")
        for user in ("alice", "alice", "alice", "bob", "bob", "carol"):
            desk.ask(A, user=user)
        desk.forget()
        for _ in range(6):
            desk.release(current)
            current = next(iter(desk.effects.loaded[0].seated))
        users = [line.removeprefix("grant a ") for line in desk.log]
        assert sorted(users[:3]) == ["alice", "bob", "carol"]
        assert users[3:] in (["alice", "bob", "alice"], ["bob", "alice", "alice"])

    def test_newcomers_cannot_starve_one_who_waits(self) -> None:
        desk = Desk(num_parallel=1)
        desk.load(A)
        current = desk.ask(A, user="alice")
        desk.ask(A, user="alice")
        patient = desk.ask(A, user="alice")
        served = []
        for number in range(6):
            desk.ask(A, user=f"new {number}")
            desk.release(current)
            current = next(iter(desk.effects.loaded[0].seated))
            served.append(current)
        assert patient in served


class TestReload:
    @pytest.mark.parametrize(
        ("loaded", "asked", "reloads"),
        [
            pytest.param({}, {}, False, id="nothing asked"),
            pytest.param({"num_ctx": 4096}, {"num_ctx": 2048}, False, id="a smaller num_ctx is a cap"),
            pytest.param({"num_ctx": 2048}, {"num_ctx": 4096}, True, id="a larger num_ctx"),
            pytest.param({"num_ctx": 8192}, {"num_ctx": 9000}, False, id="beyond the trained length there is no larger one"),
            pytest.param({"num_ctx": 8192}, {}, False, id="automatic num_ctx is content with a larger one"),
            pytest.param({"num_ctx": 512}, {}, True, id="a context made small on purpose does not bind who wants the default"),
            pytest.param({"num_batch": 64}, {}, False, id="automatic num_batch"),
            pytest.param({}, {"num_batch": 512}, False, id="the num_batch it has"),
            pytest.param({}, {"num_batch": 64}, True, id="another num_batch"),
            pytest.param({}, {"num_gpu": -1}, False, id="num_gpu below 0 never"),
            pytest.param({}, {"num_gpu": 99}, False, id="num_gpu means nothing without GPUs"),
            pytest.param({}, {"num_thread": 3}, True, id="num_thread"),
            pytest.param({}, {"main_gpu": 0}, True, id="main_gpu"),
            pytest.param({}, {"use_mmap": True}, True, id="use_mmap"),
            pytest.param({}, {"draft_num_predict": 2}, True, id="draft_num_predict"),
            pytest.param({}, {"temperature": 0.1, "num_predict": 5, "stop": ("x",)}, False, id="run options never"),
        ],
    )
    def test_catalogue_3_load_options(self, loaded: dict[str, Any], asked: dict[str, Any], reloads: bool) -> None:
        desk = Desk()
        desk.load(A, **loaded)
        desk.ask(A, **asked)
        assert desk.log == (["unload a"] if reloads else ["grant a"])

    @pytest.mark.parametrize(("asked", "reloads"), [(11, False), (99, False), (-1, False), (5, True), (0, True)])
    def test_num_gpu_is_compared_with_the_layers_that_are_there(self, asked: int, reloads: bool) -> None:
        desk = Desk(gpus=(24 * GIB,))
        runner = desk.load(A)
        assert runner.placement.num_gpu_layers == 11
        desk.ask(A, num_gpu=asked)
        assert desk.log == (["unload a"] if reloads else ["grant a"])

    def test_the_old_one_finishes_its_requests_first(self) -> None:
        desk = Desk()
        runner = desk.load(A, num_ctx=2048)
        busy = desk.ask(A, num_ctx=2048)
        larger = desk.ask(A, num_ctx=4096)
        small = desk.ask(A, num_ctx=1024)
        assert desk.log == ["grant a"]
        desk.release(busy)
        assert desk.log == ["unload a"]
        desk.stopped(runner)
        assert desk.log == ["load a"]
        desk.ready()
        assert {larger.runner, small.runner} == {desk.effects.loaded[-1]}

    def test_who_came_before_still_gets_a_seat_of_the_old_one(self) -> None:
        desk = Desk(num_parallel=1)
        runner = desk.load(A, num_ctx=2048)
        first, second = desk.ask(A, num_ctx=2048), desk.ask(A, num_ctx=2048)
        desk.ask(A, num_ctx=4096)
        desk.release(first)
        assert second.runner is runner
        desk.release(second)
        assert desk.log == ["grant a", "grant a", "unload a"]

    def test_it_stays_when_the_one_who_wanted_another_goes_away(self) -> None:
        desk = Desk()
        desk.load(A, num_ctx=2048)
        busy = desk.ask(A, num_ctx=2048)
        desk.cancel(desk.ask(A, num_ctx=4096))
        desk.release(busy)
        desk.ask(A, num_ctx=2048)
        assert desk.log == ["grant a", "grant a"]

    @pytest.mark.parametrize(("asked", "expected"), [(None, 4096), (100, 100), (1, 4), (0, 4), (4096, 4096), (9999, 8192)])
    def test_what_a_request_may_use(self, asked: int | None, expected: int) -> None:
        desk = Desk()
        ticket = desk.ask(A, num_ctx=asked)
        runner = desk.ready()
        assert runner.effective_ctx(ticket) == expected

    def test_vision_models_have_at_least_2048(self) -> None:
        desk = Desk()
        desk.ask(make_spec("see", projector_path="/mmproj"), num_ctx=512)
        assert desk.ready().placement.shape.num_ctx == 2048


class TestEviction:
    def test_at_the_limit_the_idle_one_with_the_shortest_keep_alive_leaves(self) -> None:
        desk = Desk()
        for spec, keep_alive in ((A, 300), (B, 60), (C, 600)):
            desk.load(spec, keep_alive=keep_alive)
        desk.ask(D)
        assert desk.log == ["unload b"]
        desk.stopped(desk.effects.loaded[1])
        assert desk.log == ["load d"]

    def test_equal_keep_alives_go_by_path(self) -> None:
        desk = Desk(max_loaded_models=2)
        desk.load(B)
        desk.load(A)
        desk.ask(C)
        assert desk.log == ["unload a"]

    def test_busy_ones_are_spared_while_another_is_idle(self) -> None:
        desk = Desk(max_loaded_models=2)
        desk.load(A, keep_alive=1)
        desk.load(B, keep_alive=900)
        desk.ask(A)
        desk.ask(C)
        assert desk.log == ["grant a", "unload b"]

    def test_if_none_is_idle_the_shortest_leaves_after_it_drains(self) -> None:
        desk = Desk(max_loaded_models=2)
        desk.load(A, keep_alive=900)
        desk.load(B, keep_alive=60)
        busy = [desk.ask(A), desk.ask(B)]
        desk.ask(C)
        late = desk.ask(B)
        assert desk.log == ["grant a", "grant b"]
        desk.release(busy[0])  # the choice stands, although this one is idle first
        assert desk.log == []
        desk.release(busy[1])
        assert desk.log == ["unload b"]
        assert late.runner is None

    @pytest.mark.parametrize(("config", "gpus", "most"), [(0, (), 3), (0, (24 * GIB,) * 2, 6), (1, (), 1), (5, (), 5)])
    def test_catalogue_12_how_many_are_loaded(self, config: int, gpus: tuple[int, ...], most: int) -> None:
        desk = Desk(max_loaded_models=config, gpus=gpus)
        for number in range(most):
            desk.load(make_spec(f"m{number}"))
        desk.ask(A)
        assert desk.log == ["unload m0"]

    def test_a_model_predicted_not_to_fit_sends_an_idle_one_away(self) -> None:
        desk = Desk(free_bytes=8 * GIB)
        desk.load(A)
        desk.effects.free = type(desk.effects.free)(1 * GIB)
        desk.ask(B)
        assert desk.log == ["unload a"]

    def test_fewer_slots_are_tried_before_anybody_leaves(self) -> None:
        desk = Desk(free_bytes=8 * GIB)
        desk.load(A)
        desk.effects.free = type(desk.effects.free)(int(1.7 * GIB))
        desk.ask(B)
        assert desk.log == ["load b"]
        assert desk.effects.loaded[-1].num_slots < 4

    def test_what_could_never_fit_sends_nobody_away(self) -> None:
        desk = Desk(free_bytes=8 * GIB)
        desk.load(A)
        huge = make_spec("huge", facts=type(FACTS)(num_layers=1, layer_bytes=(99 * GIB,)))
        ticket = desk.ask(huge)
        assert desk.log == ["refuse huge NotEnoughMemory"]
        text = str(desk.effects.errors[ticket])
        assert text.startswith("model requires more system memory (99.")
        assert "is available (" in text

    def test_a_request_behind_one_that_cannot_fit_still_loads(self) -> None:
        desk = Desk(free_bytes=8 * GIB)
        desk.ask(A)
        huge = make_spec("huge", facts=type(FACTS)(num_layers=1, layer_bytes=(99 * GIB,)))
        desk.ask(huge)
        desk.ask(B)
        desk.ready()
        assert desk.log == ["load a", "grant a", "refuse huge NotEnoughMemory", "load b"]

    def test_alone_on_the_machine_it_may_take_more_than_the_comfortable_share(self) -> None:
        desk = Desk(free_bytes=int(1.35 * GIB), num_parallel=1)
        desk.ask(A)
        assert desk.log == ["load a"]


class TestKeepAlive:
    def test_the_timer_starts_when_the_last_request_ends(self) -> None:
        desk = Desk()
        tickets = [desk.ask(A), desk.ask(A)]
        desk.ready()
        desk.wait(10_000)
        desk.release(tickets[0])
        assert desk.scheduler.next_wake() is None
        desk.release(tickets[1])
        assert desk.scheduler.next_wake() == desk.now + 300
        desk.forget()
        desk.wait(299)
        assert desk.log == []
        desk.wait(1)
        assert desk.log == ["unload a"]

    def test_a_new_request_stops_the_timer(self) -> None:
        desk = Desk()
        desk.load(A)
        desk.wait(299)
        ticket = desk.ask(A)
        desk.wait(1000)
        desk.release(ticket)
        desk.wait(299)
        assert desk.log == ["grant a"]

    @pytest.mark.parametrize(
        ("values", "expires_in"),
        [
            pytest.param([None], 300, id="absent: the server's"),
            pytest.param([42.5], 42.5, id="42.5: seconds"),
            pytest.param([math.inf], math.inf, id="negative: forever"),
            pytest.param([60, None], 60, id="absent: the model's current one"),
            pytest.param([60, 10], 10, id="each that carries one replaces it"),
        ],
    )
    def test_catalogue_2_8(self, values: list[float | None], expires_in: float) -> None:
        desk = Desk()
        for keep_alive in values:
            ticket = desk.ask(A, keep_alive=keep_alive)
            if keep_alive is values[0] and desk.effects.loaded[0].state == "loading":
                desk.ready()
            desk.release(ticket)
        assert desk.scheduler.running(desk.now, 5000.0)[0].expires_at == 5000 + expires_in

    def test_zero_unloads_as_soon_as_idle_and_waiting_requests_are_served_first(self) -> None:
        desk = Desk(num_parallel=1)
        first, second = desk.ask(A, keep_alive=0), desk.ask(A)
        desk.ready()
        desk.release(first)
        assert desk.log == ["load a", "grant a", "grant a"]
        desk.release(second)
        assert desk.log == ["unload a"]

    def test_unload_marks_it_expired_while_running_requests_finish(self) -> None:
        desk = Desk()
        desk.load(A)
        ticket = desk.ask(A, keep_alive=900)
        desk.scheduler.on_unload(desk.now, A.weights)
        desk.wait(5)
        assert desk.scheduler.running(desk.now, 5000.0)[0].expires_at == 4995
        late = desk.ask(A)
        assert desk.log == ["grant a"]
        desk.release(ticket)
        assert desk.log == ["unload a"]
        desk.stopped(desk.effects.loaded[0])
        assert desk.log == ["load a"]
        assert late.runner is None

    def test_unload_of_an_idle_model_is_at_once_and_of_none_nothing(self) -> None:
        desk = Desk()
        assert desk.scheduler.on_unload(desk.now, A.weights) == []
        runner = desk.load(A, keep_alive=math.inf)
        assert desk.scheduler.on_unload(desk.now, A.weights) == [runner]
        assert desk.log == ["unload a"]

    def test_unload_during_a_load_lets_those_who_wait_have_it(self) -> None:
        desk = Desk()
        ticket = desk.ask(A)
        desk.scheduler.on_unload(desk.now, A.weights)
        desk.ready()
        desk.release(ticket)
        assert desk.log == ["load a", "grant a", "unload a"]


class TestPs:
    def test_catalogue_2_14_latest_expiry_first(self) -> None:
        desk = Desk()
        for spec, keep_alive in ((A, 10), (B, math.inf), (C, 60)):
            desk.load(spec, keep_alive=keep_alive)
        assert [model.name for model in desk.scheduler.running(desk.now, 0)] == ["b:latest", "c:latest", "a:latest"]

    def test_a_loading_model_expires_a_keep_alive_from_now(self) -> None:
        desk = Desk()
        desk.ask(A, keep_alive=60)
        desk.ask(A)
        (model,) = desk.scheduler.running(desk.now, 5000.0)
        assert (model.is_loading, model.expires_at, model.num_queued, model.num_ctx) == (True, 5060.0, 2, 4096)
        assert model.size_bytes > sum(FACTS.layer_bytes)

    def test_it_says_what_the_runner_reported(self) -> None:
        desk = Desk()
        desk.ask(A)
        desk.scheduler.on_ready(desk.now, desk.effects.loaded[0], num_slots=2, size_bytes=500, vram_bytes=200)
        (model,) = desk.scheduler.running(desk.now, 0)
        assert (model.size_bytes, model.size_vram_bytes, model.num_slots, model.num_busy_slots) == (500, 200, 2, 1)


class TestFailure:
    def test_a_failed_load_is_everybodys_who_waited_for_it(self) -> None:
        desk = Desk()
        desk.ask(A)
        desk.ask(A)
        desk.ask(B)
        desk.fail(LoadFailed("no"))
        assert desk.log == ["load a", "refuse a LoadFailed", "refuse a LoadFailed", "load b"]

    def test_three_failures_in_ten_minutes_put_a_model_aside(self) -> None:
        desk = Desk()
        for _ in range(3):
            desk.ask(A)
            desk.fail(LoadFailed("no"))
            desk.wait(100)
        assert desk.log.count("load a") == 3
        ticket = desk.ask(A)
        assert desk.log == ["refuse a LoadFailed"]
        assert "failed to start 3 times" in str(desk.effects.errors[ticket])
        assert "not tried again for 5 min" in str(desk.effects.errors[ticket])
        desk.ask(B)
        assert desk.log == ["load b"]
        desk.ready()
        desk.wait(301)
        desk.ask(A)
        assert "load a" in desk.log

    def test_a_success_in_between_forgives(self) -> None:
        desk = Desk()
        for _ in range(2):
            desk.ask(A)
            desk.fail(LoadFailed("no"))
        desk.stopped(desk.load(A))
        desk.ask(A)
        desk.fail(LoadFailed("no"))
        desk.forget()
        desk.ask(A)
        assert desk.log == ["load a"]

    def test_a_busy_machine_is_not_the_models_fault(self) -> None:
        desk = Desk()
        for _ in range(5):
            desk.ask(A)
            desk.fail(Busy(BUSY), is_fault=False)
        assert desk.log == ["load a", "refuse a Busy"] * 5

    def test_out_of_memory_is_tried_once_more_with_the_smallest_shape(self) -> None:
        desk = Desk()
        ticket = desk.ask(A)
        desk.fail(NotEnoughMemory("no"), is_fault=False)
        assert desk.log == ["load a", "load a"]
        assert desk.effects.loaded[-1].num_slots == 1
        desk.fail(NotEnoughMemory("no"), is_fault=False)
        assert desk.log == ["refuse a NotEnoughMemory"]
        assert str(desk.effects.errors[ticket]) == "no"
        desk.ask(A)  # from the beginning again
        assert desk.log == ["load a"]
        assert desk.effects.loaded[-1].num_slots == 4

    def test_out_of_memory_is_tried_once_more_alone(self) -> None:
        desk = Desk(num_parallel=1)
        other = desk.load(B)
        desk.ask(A, num_ctx=1024)
        desk.fail(NotEnoughMemory("no"), is_fault=False)
        assert desk.log == ["load a", "unload b"]
        desk.stopped(other)
        assert desk.log == ["load a"]
        desk.ready()
        desk.ask(B)
        assert desk.log == ["grant a", "load b"]

    def test_out_of_memory_with_nothing_left_to_try_fails_at_once(self) -> None:
        desk = Desk(num_parallel=1)
        desk.ask(A, num_ctx=1024)
        desk.fail(NotEnoughMemory("no"), is_fault=False)
        assert desk.log == ["load a", "refuse a NotEnoughMemory"]

    def test_out_of_memory_on_a_gpu_is_tried_once_more_with_fewer_layers(self) -> None:
        desk = Desk(gpus=(24 * GIB,))
        other = desk.load(B)
        desk.ask(A)
        desk.fail(NotEnoughMemory("no"), is_fault=False)
        assert desk.log == ["load a", "load a"]
        assert desk.effects.loaded[-1].placement.num_gpu_layers == 8
        assert other.state == "ready"

    def test_a_runner_that_dies_takes_only_its_own_along(self) -> None:
        desk = Desk(num_parallel=2)
        runner, other = desk.load(A), desk.load(B)
        seated, waiting = [desk.ask(A), desk.ask(A)], desk.ask(A)
        desk.ask(B)
        desk.forget()
        desk.scheduler.on_ending(runner)
        desk.ask(A)
        assert desk.log == []  # nobody is seated in a dying runner
        desk.stopped(runner)
        assert desk.log == ["load a"]
        desk.release(*seated)  # the late goodbye of its requests changes nothing
        desk.ready()
        assert waiting.runner is desk.effects.loaded[-1]
        assert other.state == "ready"


class TestCancel:
    def test_leaving_while_waiting_for_a_slot(self) -> None:
        desk = Desk(num_parallel=1)
        desk.load(A)
        busy, gone, next_ = desk.ask(A), desk.ask(A), desk.ask(A)
        desk.cancel(gone)
        desk.release(busy)
        assert next_.runner is not None
        assert gone.runner is None

    def test_a_load_that_nobody_waits_for_is_given_up(self) -> None:
        desk = Desk()
        first, second = desk.ask(A), desk.ask(A)
        desk.ask(B)
        desk.cancel(first)
        assert desk.log == ["load a"]
        desk.cancel(second)
        assert desk.log == ["unload a"]
        desk.stopped(desk.effects.loaded[0])
        assert desk.log == ["load b"]

    def test_a_second_goodbye_is_nothing(self) -> None:
        desk = Desk()
        ticket = desk.ask(A)
        desk.ready()
        desk.release(ticket)
        desk.release(ticket)
        desk.cancel(ticket)
        assert desk.log == ["load a", "grant a"]

    def test_shutting_down_refuses_all_who_wait(self) -> None:
        desk = Desk(num_parallel=1)
        desk.load(A)
        for _ in range(3):
            desk.ask(A)
        desk.scheduler.refuse_all(Canceled("bye"))
        assert desk.log == ["grant a", "refuse a Canceled", "refuse a Canceled"]


class TestPhases:
    def test_they_tell_of_loading_and_of_the_queue_once_per_change(self) -> None:
        desk = Desk(num_parallel=1)
        tickets = [desk.ask(A) for _ in range(3)]
        runner = desk.effects.loaded[0]
        desk.scheduler.on_loading(runner, 0.5)
        desk.scheduler.on_loading(runner, 0.5)
        desk.ready()
        desk.release(tickets[0])
        assert desk.effects.phases[tickets[2]] == [
            Phase("loading"),
            Phase("loading", fraction=0.5),
            Phase("queued", position=1),
            Phase("queued", position=0),
        ]
        assert desk.effects.phases[tickets[0]] == [Phase("loading"), Phase("loading", fraction=0.5)]

    def test_positions_count_the_same_model_only(self) -> None:
        desk = Desk()
        desk.ask(A)
        waiting = desk.ask(B)
        assert desk.effects.phases[waiting] == [Phase("queued", position=0)]


def test_the_memory_of_a_model_is_what_its_shape_takes() -> None:
    desk = Desk()
    desk.ask(A)
    placement = desk.effects.loaded[0].placement
    cache = 4096 * 4 * 10 * 4 * 128 * 2
    assert placement.host_bytes == pytest.approx(1100 * MIB + cache, rel=0.3)
    assert placement.vram_bytes == 0


class _Life:
    """A random life of a scheduler: what a supervisor would do with its effects, in any order."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.desk = Desk(max_loaded_models=2, max_queue=6, num_parallel=2, free_bytes=8 * GIB)
        self.open: list[Ticket] = []
        self.killed: set[Ticket] = set()

    def ask(self) -> None:
        options = self.dice.choice([{}, {"num_ctx": 512}, {"num_ctx": 8192}, {"num_thread": 2}])
        keep_alive = self.dice.choice([None, 0, 5, math.inf])
        self.open.append(self.desk.ask(self.dice.choice([A, B, C, D]), self.dice.choice("xyz"), keep_alive, **options))

    def leave(self) -> None:
        if self.open:
            ticket = self.open.pop(self.dice.randrange(len(self.open)))
            self.desk.cancel(ticket)
            self.desk.release(ticket)

    def process(self) -> None:
        """One process gets a step further: loads, fails, ends or dies."""
        runners = self.desk.scheduler.runners
        if not runners:
            return
        runner = self.dice.choice(runners)
        if runner.state == "stopping":
            self.killed |= runner.seated  # their process tells them
            self.desk.stopped(runner)
        elif runner.state == "loading" and self.dice.random() < 0.2:
            error = self.dice.choice([LoadFailed("no"), NotEnoughMemory("no")])
            self.desk.scheduler.on_load_failed(self.desk.now, runner, error, is_fault=False)
        elif runner.state == "loading":
            self.desk.scheduler.on_ready(self.desk.now, runner, num_slots=2, size_bytes=1, vram_bytes=0)
        elif self.dice.random() < 0.1:
            self.desk.scheduler.on_ending(runner)

    def check(self) -> None:
        runners = self.desk.scheduler.runners
        self.open = [ticket for ticket in self.open if ticket not in self.desk.effects.errors]
        assert all(len(runner.seated) <= runner.num_slots for runner in runners)
        assert sum(runner.state == "loading" for runner in runners) <= 1
        assert len(runners) <= 2
        assert len({runner.spec.weights for runner in runners}) == len(runners)
        assert all(ticket in ticket.runner.seated for ticket in self.open if ticket.runner)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_everybody_gets_an_answer(seed: int) -> None:
    life = _Life(seed)
    for _ in range(300):
        life.dice.choice([life.ask, life.ask, life.leave, life.process, life.process])()
        life.desk.wait(life.dice.random() * 4)
        life.check()
    for _ in range(500):  # nobody new comes: all who wait are seated, leave, and everything ends
        life.process()
        life.check()
        seated = [ticket for ticket in life.open if ticket.runner]
        if seated:
            life.desk.release(seated[0])
            life.open.remove(seated[0])
    assert [ticket for ticket in life.open if ticket not in life.killed] == []
