/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the build force-includes: the ELF names of what c exports. */
#pragma redefine_extname index molt$c$index$0123456789abcdef
#pragma redefine_extname read molt$c$read$0123456789abcdef
#pragma redefine_extname log_init molt$c$log_init$0123456789abcdef
#pragma redefine_extname c_calls molt$c$c_calls$0123456789abcdef
#pragma redefine_extname c_address_of_index molt$c$c_address_of_index$0123456789abcdef
