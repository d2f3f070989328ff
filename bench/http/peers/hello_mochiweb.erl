%% SPDX-License-Identifier: Apache-2.0
%% SPDX-FileCopyrightText: The molt authors
%%
%% "Hello 0" on MochiWeb. Ends when its stdin does.
-module(hello_mochiweb).
-export([main/1, loop/1]).

main([Port]) ->
    {ok, _} = mochiweb_http:start([{name, ?MODULE}, {ip, "127.0.0.1"},
                                   {port, list_to_integer(atom_to_list(Port))}, {max, 100000},
                                   {backlog, 4096}, {nodelay, true}, {acceptor_pool_size, 64},
                                   {loop, fun ?MODULE:loop/1}]),
    eof = io:get_line(""),
    halt(0).

loop(Request) ->
    mochiweb_request:respond({200, [{"Content-Type", "text/plain"}], <<"Hello 0\n">>}, Request).
