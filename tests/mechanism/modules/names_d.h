/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the build force-includes: the ELF names of what d exports. */
#pragma redefine_extname d_first molt$d$d_first$0123456789abcdef
#pragma redefine_extname d_second molt$d$d_second$0123456789abcdef
#pragma redefine_extname d_calls molt$d$d_calls$0123456789abcdef
