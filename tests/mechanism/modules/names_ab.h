/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the build force-includes: the ELF names of what a and b export. */
#pragma redefine_extname a_which molt$a$a_which$0123456789abcdef
#pragma redefine_extname a_which_here molt$a$a_which_here$0123456789abcdef
#pragma redefine_extname a_which_there molt$a$a_which_there$0123456789abcdef
#pragma redefine_extname a_more molt$a$a_more$0123456789abcdef
#pragma redefine_extname a_address molt$a$a_address$0123456789abcdef
#pragma redefine_extname a_more_address molt$a$a_more_address$0123456789abcdef
#pragma redefine_extname a_table molt$a$a_table$0123456789abcdef
#pragma redefine_extname a_local molt$a$a_local$0123456789abcdef
#pragma redefine_extname a_local_caller molt$a$a_local_caller$0123456789abcdef
#pragma redefine_extname a_ints molt$a$a_ints$0123456789abcdef
#pragma redefine_extname a_doubles molt$a$a_doubles$0123456789abcdef
#pragma redefine_extname a_pair molt$a$a_pair$0123456789abcdef
#pragma redefine_extname a_big molt$a$a_big$0123456789abcdef
#pragma redefine_extname a_sum molt$a$a_sum$0123456789abcdef
#pragma redefine_extname a_long_double molt$a$a_long_double$0123456789abcdef
#pragma redefine_extname b_address molt$b$b_address$0123456789abcdef
#pragma redefine_extname b_table molt$b$b_table$0123456789abcdef
#pragma redefine_extname b_calls_a molt$b$b_calls_a$0123456789abcdef
#pragma redefine_extname b_helper molt$b$b_helper$0123456789abcdef
