%% SPDX-License-Identifier: Apache-2.0
%% SPDX-FileCopyrightText: The molt authors
%% The handler, one beam for each VERSION.
-module(hello).
-export([answer/1]).

answer(<<"/">>) -> {200, <<"Hello ", (integer_to_binary(?VERSION))/binary, "\n">>};
answer(_) -> {404, <<"not found\n">>}.
