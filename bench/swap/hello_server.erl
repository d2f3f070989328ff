%% SPDX-License-Identifier: Apache-2.0
%% SPDX-FileCopyrightText: The molt authors
%%
%% HTTP/1.1 with keep-alive on gen_tcp, one process per connection, requests
%% parsed by the socket driver ({packet, http_bin}) and sent as messages, {active,
%% N} at a time, which is faster than asking for each. The handler module is
%% called fully qualified, so each request runs its newest version, and no
%% process stays in old code between two requests.
%%
%% A line "N" on stdin loads the handler from ./N/hello.beam, read ahead of it;
%% the answer is "ok LOAD-MICROSECONDS PURGE-MICROSECONDS".
-module(hello_server).
-export([main/1]).

main([Port]) ->
    Beams = read_beams(0, #{}),
    load(0, Beams),
    Self = self(),
    spawn_link(fun() -> listen(list_to_integer(atom_to_list(Port)), Self) end),
    receive listening -> commands(Beams) end.

read_beams(N, Beams) ->
    case file:read_file(integer_to_list(N) ++ "/hello.beam") of
        {ok, Beam} -> read_beams(N + 1, Beams#{N => Beam});
        {error, enoent} -> Beams
    end.

%% The caller waits until no process runs the version before the current one;
%% soft_purge says so without killing anybody.
load(N, Beams) ->
    Start = erlang:monotonic_time(microsecond),
    true = code:soft_purge(hello),
    Purged = erlang:monotonic_time(microsecond),
    {module, hello} = code:load_binary(hello, "hello.beam", maps:get(N, Beams)),
    {erlang:monotonic_time(microsecond) - Purged, Purged - Start}.

commands(Beams) ->
    case io:get_line("") of
        eof -> halt(0);
        {error, _} -> halt(1);
        Line ->
            {Load, Purge} = load(list_to_integer(string:trim(Line)), Beams),
            io:format("ok ~b ~b~n", [Load, Purge]),
            commands(Beams)
    end.

listen(Port, Parent) ->
    {ok, Socket} = gen_tcp:listen(Port, [binary, {ip, {127, 0, 0, 1}}, {packet, http_bin},
                                         {active, false}, {nodelay, true}, {reuseaddr, true},
                                         {backlog, 1024}]),
    Parent ! listening,
    accept(Socket).

accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Pid = spawn(fun() -> receive go -> activate(Socket), request(Socket) end end),
    ok = gen_tcp:controlling_process(Socket, Pid),
    Pid ! go,
    accept(Listener).

%% An error: the client has gone.
activate(Socket) ->
    case inet:setopts(Socket, [{active, 200}]) of
        ok -> ok;
        {error, _} -> exit(normal)
    end.

request(Socket) ->
    receive
        {http, Socket, {http_request, 'GET', {abs_path, Path}, _}} -> fields(Socket, Path, true);
        {tcp_passive, Socket} -> activate(Socket), request(Socket);
        {tcp_closed, Socket} -> ok;
        _ -> gen_tcp:close(Socket)
    end.

fields(Socket, Path, KeepAlive) ->
    receive
        {http, Socket, http_eoh} -> answer(Socket, Path, KeepAlive);
        {http, Socket, {http_header, _, 'Connection', _, <<"close">>}} -> fields(Socket, Path, false);
        {http, Socket, {http_header, _, _, _, _}} -> fields(Socket, Path, KeepAlive);
        {tcp_passive, Socket} -> activate(Socket), fields(Socket, Path, KeepAlive);
        _ -> gen_tcp:close(Socket)
    end.

answer(Socket, Path, KeepAlive) ->
    {Status, Body} = hello:answer(Path),
    Sent = gen_tcp:send(Socket, [status(Status), <<"content-length: ">>,
                                 integer_to_binary(byte_size(Body)), connection(KeepAlive),
                                 <<"\r\ncontent-type: text/plain\r\n\r\n">>, Body]),
    case KeepAlive andalso Sent =:= ok of
        true -> request(Socket);
        false -> gen_tcp:close(Socket)
    end.

status(200) -> <<"HTTP/1.1 200 OK\r\n">>;
status(404) -> <<"HTTP/1.1 404 Not Found\r\n">>.

connection(true) -> <<>>;
connection(false) -> <<"\r\nconnection: close">>.
