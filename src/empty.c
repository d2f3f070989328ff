/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A layer whose first file isn't written yet still builds. */
typedef int molt_empty;
