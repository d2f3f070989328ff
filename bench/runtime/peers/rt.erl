%% SPDX-License-Identifier: Apache-2.0
%% SPDX-FileCopyrightText: The molt authors
%%
%% The runtime's figures on the BEAM. `erl ... -run rt main FIGURE N MS PLACE [FIRST
%% SPREAD]` prints "result KEY=VALUE ..." as ../molt does, and ends.
%%
%% Messages are immediates or small tuples, loops are tail calls, calls are
%% gen_server's own, counters are `atomics`. Partners on two schedulers are bound
%% with the spawn option {scheduler, N}; otherwise the VM places them.
-module(rt).
-behaviour(gen_server).
-export([main/1, init/1, handle_call/3, handle_cast/2]).

main([Figure, N, Ms, Place | Rest]) ->
    Number = list_to_integer(N),
    Target = list_to_integer(Ms) * 1000000,
    {Ops, Wall, Cpu, More} =
        case Figure of
            "pingpong" -> pingpong(Number, Target, Place);
            "send" -> send(Number, Target, Place);
            "call" -> call(Number, Target, Place);
            "spawn" -> measure(Target, fun(Ops) -> spawn_batches(Number, Ops div Number + 1) end);
            "ring" -> ring(Number, Target);
            "idle" -> idle(Number, none);
            "hibernated" -> idle(Number, hibernate);
            "cancel" -> cancel(Number, Target);
            "table-" ++ What -> table(What, Number, Target, Place);
            "timers" ->
                [First, Spread] = [list_to_integer(Text) || Text <- Rest],
                timers(Number, First, Spread)
        end,
    io:format("result ops=~b wall_ns=~b cpu_ns=~b", [Ops, Wall, Cpu]),
    [io:format(" ~s=~b", [Key, Value]) || {Key, Value} <- More],
    io:format("~n"),
    halt(0).

%% ---- measuring ------------------------------------------------------------------

now_ns() -> erlang:monotonic_time(nanosecond).

%% Of all threads; the VM tells milliseconds.
cpu_ns() ->
    {Total, _} = statistics(runtime),
    Total * 1000000.

%% Fun does about as many operations as it is told and returns their number. It runs
%% with more and more of them until they take long enough; that run counts, but never
%% the first, which waits for what was started just before.
measure(Target, Fun) -> measure(Target, Fun, 100, 1).

measure(Target, Fun, Wanted, Run) ->
    Cpu = cpu_ns(),
    Began = now_ns(),
    Ops = Fun(Wanted),
    Wall = now_ns() - Began,
    Used = cpu_ns() - Cpu,
    case Run >= 2 andalso Wall >= Target - Target div 5 of
        true -> {Ops, Wall, Used, []};
        false -> measure(Target, Fun, trunc(Wanted * min(10.0, 1.1 * Target / max(1, Wall))) + 1,
                         Run + 1)
    end.

start(Fun, "across", Scheduler) -> spawn_opt(Fun, [link, {scheduler, Scheduler}]);
start(Fun, _, _) -> spawn_link(Fun).

wait_for(_, 0) -> ok;
wait_for(Message, N) ->
    receive Message -> wait_for(Message, N - 1) end.

%% ---- messages to and fro ---------------------------------------------------------

pingpong(N, Target, Place) ->
    Self = self(),
    Pairs = [begin
                 Wall = start(fun wall/0, Place, 2),
                 start(fun() -> player(Wall, Self) end, Place, 1)
             end || _ <- lists:seq(1, N)],
    measure(Target, fun(Ops) ->
        Rounds = Ops div N + 1,
        [Player ! {play, Rounds} || Player <- Pairs],
        wait_for(finished, N),
        Rounds * N
    end).

player(Wall, Referee) ->
    receive
        {play, Rounds} ->
            play(Wall, self(), Rounds),
            Referee ! finished,
            player(Wall, Referee)
    end.

play(_, _, 0) -> ok;
play(Wall, Self, Left) ->
    Wall ! Self,
    receive ball -> play(Wall, Self, Left - 1) end.

wall() ->
    receive Player -> Player ! ball, wall() end.

%% ---- one way ------------------------------------------------------------------------

send(N, Target, Place) ->
    Self = self(),
    Receiver = start(fun() -> receiver(Self) end, Place, 2),
    Senders = [start(fun() -> sender(Receiver) end, Place, 1) || _ <- lists:seq(1, N)],
    measure(Target, fun(Ops) ->
        Each = Ops div N + 1,
        Receiver ! {expect, N * Each},
        [Sender ! {send, Each} || Sender <- Senders],
        receive {received, Sum} when Sum > 0 -> ok end,
        N * Each
    end).

sender(Receiver) ->
    receive {send, N} -> send_items(Receiver, N), sender(Receiver) end.

send_items(_, 0) -> ok;
send_items(Receiver, N) ->
    Receiver ! N,
    send_items(Receiver, N - 1).

receiver(Parent) ->
    receive {expect, N} -> Parent ! {received, receive_items(N, 0)} end,
    receiver(Parent).

%% No pattern: the first message is taken, and the queue isn't searched.
receive_items(0, Sum) -> Sum;
receive_items(N, Sum) ->
    receive Value -> receive_items(N - 1, Sum + Value) end.

%% ---- calls ---------------------------------------------------------------------------

init(Value) -> {ok, Value}.
handle_call(Value, _, Sum) -> {reply, Sum + Value, Sum + Value}.
handle_cast(_, Sum) -> {noreply, Sum}.

call(N, Target, Place) ->
    Options = case Place of
                  "across" -> [{spawn_opt, [{scheduler, 2}]}];
                  _ -> []
              end,
    {ok, Server} = gen_server:start_link(?MODULE, 0, Options),
    Self = self(),
    Clients = [start(fun() -> client(Server, Self) end, Place, 1) || _ <- lists:seq(1, N)],
    measure(Target, fun(Ops) ->
        Each = Ops div N + 1,
        [Client ! {work, Each} || Client <- Clients],
        wait_for(finished, N),
        N * Each
    end).

client(Server, Referee) ->
    receive
        {work, N} ->
            calls(Server, N),
            Referee ! finished,
            client(Server, Referee)
    end.

calls(_, 0) -> ok;
calls(Server, N) ->
    _ = gen_server:call(Server, 1, infinity),
    calls(Server, N - 1).

%% ---- processes that end at once --------------------------------------------------------

spawn_batches(N, Batches) ->
    spawn_batches(N, Batches, self()),
    N * Batches.

spawn_batches(_, 0, _) -> ok;
spawn_batches(N, Left, Self) ->
    spawn_some(N, Self),
    wait_for_ends(N),
    spawn_batches(N, Left - 1, Self).

spawn_some(0, _) -> ok;
spawn_some(N, Self) ->
    spawn_monitor(fun nothing/0),
    spawn_some(N - 1, Self).

nothing() -> ok.

%% The order of ends is no matter, so the first message is taken.
wait_for_ends(0) -> ok;
wait_for_ends(N) ->
    receive {'DOWN', _, process, _, normal} -> wait_for_ends(N - 1) end.

%% ---- a ring ----------------------------------------------------------------------------

ring(N, Target) ->
    Self = self(),
    First = spawn_link(fun() -> receive {next, Next} -> member(Next, Self) end end),
    Last = lists:foldl(fun(_, Next) -> spawn_link(fun() -> member(Next, Self) end) end, First,
                       lists:seq(2, N)),
    First ! {next, Last},
    measure(Target, fun(Ops) ->
        First ! Ops,
        wait_for(0, 1),
        Ops
    end).

member(Next, Starter) ->
    receive
        0 -> Starter ! 0;
        Left -> Next ! Left - 1
    end,
    member(Next, Starter).

%% ---- idle processes -----------------------------------------------------------------------

idle(N, How) ->
    Self = self(),
    Born = atomics:new(1, [{signed, false}]),
    resident(), %% loads what it needs
    Before = resident(),
    Cpu = cpu_ns(),
    Began = now_ns(),
    create(N, fun() -> idler(Born, N, Self, How) end),
    wait_for(finished, 1),
    Wall = now_ns() - Began,
    Used = cpu_ns() - Cpu,
    After = resident(),
    {N, Wall, Used, [{grown, After - Before}, {resident, After}]}.

create(0, _) -> ok;
create(N, Fun) ->
    spawn(Fun),
    create(N - 1, Fun).

idler(Born, N, Creator, How) ->
    case atomics:add_get(Born, 1, 1) of
        N -> Creator ! finished;
        _ -> ok
    end,
    case How of
        none -> idler_loop(0);
        hibernate -> erlang:hibernate(erlang, apply, [fun idler_loop/1, [0]])
    end.

idler_loop(Value) ->
    receive Add -> idler_loop(Value + Add) end.

resident() ->
    {ok, File} = file:open("/proc/self/statm", [read, raw]),
    {ok, Line} = file:read(File, 256),
    file:close(File),
    [_, Pages | _] = string:lexemes(Line, " "),
    list_to_integer(Pages) * 4096.

%% ---- tables --------------------------------------------------------------------------------

%% Rows are {Key, Number}; keys are taken at random. Two processes on two schedulers
%% have the options for that.
table(What, N, Target, Place) ->
    [Operation, Kind] = string:split(What, "-"),
    Type = case Kind of "set" -> set; "ordered" -> ordered_set end,
    Concurrency = case {Place, Operation} of
                      {"across", "get"} -> [{read_concurrency, true}];
                      {"across", _} -> [{write_concurrency, auto}];
                      _ -> []
                  end,
    Table = ets:new(rows, [Type, public | Concurrency]),
    [ets:insert(Table, {Key, 0}) || Key <- lists:seq(0, N - 1)],
    Self = self(),
    Run = case Operation of "get" -> fun get_rows/5; "put" -> fun put_rows/5; "add" -> fun add_rows/5 end,
    Schedulers = case Place of "across" -> [1, 2]; _ -> [1] end,
    Users = [start(fun() -> table_user(Run, Table, N, Seed, Self) end, Place, Seed)
             || Seed <- Schedulers],
    measure(Target, fun(Ops) ->
        Each = Ops div length(Users) + 1,
        [User ! {work, Each} || User <- Users],
        wait_for(finished, length(Users)),
        Each * length(Users)
    end).

table_user(Run, Table, N, Seed, Referee) ->
    receive {work, Each} -> Run(Table, Seed, N, Each, 0) end,
    Referee ! finished,
    table_user(Run, Table, N, Seed, Referee).

next_key(Key, N) -> (Key * 1103515245 + 12345) rem N.

get_rows(_, _, _, 0, Sum) -> Sum;
get_rows(Table, Key, N, Left, Sum) ->
    Next = next_key(Key, N),
    get_rows(Table, Next, N, Left - 1, Sum + ets:lookup_element(Table, Next, 2)).

put_rows(_, _, _, 0, Sum) -> Sum;
put_rows(Table, Key, N, Left, Sum) ->
    Next = next_key(Key, N),
    ets:insert(Table, {Next, Left}),
    put_rows(Table, Next, N, Left - 1, Sum).

add_rows(_, _, _, 0, Sum) -> Sum;
add_rows(Table, Key, N, Left, Sum) ->
    Next = next_key(Key, N),
    ets:update_counter(Table, Next, 1),
    add_rows(Table, Next, N, Left - 1, Sum).

%% ---- timers ---------------------------------------------------------------------------------

cancel(N, Target) ->
    Self = self(),
    _ = [erlang:start_timer(3600000 + I, Self, far) || I <- lists:seq(1, N)],
    measure(Target, fun(Ops) -> cancel_some(Ops, Self), Ops end).

cancel_some(0, _) -> ok;
cancel_some(N, Self) ->
    Timer = erlang:start_timer(1000 + N band 4095, Self, near),
    erlang:cancel_timer(Timer, [{info, false}]),
    cancel_some(N - 1, Self).

%% Each process waits with receive ... after, which is the cheapest timer.
timers(N, First, Spread) ->
    Self = self(),
    Late = atomics:new(N, [{signed, true}]),
    Counts = atomics:new(3, [{signed, false}]),
    Pids = [spawn(fun() -> sleeper(Late, Counts, I, N, Self) end) || I <- lists:seq(1, N)],
    wait_for({finished, 1}, 1),
    Cpu = cpu_ns(),
    Began = now_ns(),
    arm_all(Pids, 0, N, First, Spread),
    wait_for({finished, 2}, 1),
    Wall = now_ns() - Began,
    Used = cpu_ns() - Cpu,
    wait_for({finished, 3}, 1),
    Sorted = list_to_tuple(lists:sort([max(0, atomics:get(Late, I)) || I <- lists:seq(1, N)])),
    {N, Wall, Used, [{late_p50_ns, element(N div 2 + 1, Sorted)},
                     {late_p99_ns, element(N * 99 div 100 + 1, Sorted)},
                     {late_max_ns, element(N, Sorted)}]}.

arm_all([], _, _, _, _) -> ok;
arm_all([Pid | Pids], I, N, First, Spread) ->
    Pid ! First + I * Spread div N,
    arm_all(Pids, I + 1, N, First, Spread).

count(Counts, What, N, Referee) ->
    case atomics:add_get(Counts, What, 1) of
        N -> Referee ! {finished, What};
        _ -> ok
    end.

sleeper(Late, Counts, I, N, Referee) ->
    count(Counts, 1, N, Referee),
    receive
        Ms ->
            Due = now_ns() + Ms * 1000000,
            count(Counts, 2, N, Referee),
            receive
            after Ms -> ok
            end,
            atomics:put(Late, I, now_ns() - Due),
            count(Counts, 3, N, Referee)
    end.
