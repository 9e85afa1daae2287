/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that the module builds against: 5.10 to 7.3. */
#ifndef WATTRACE_SIM_COMPAT_H
#define WATTRACE_SIM_COMPAT_H

#include <linux/version.h>

/* sched_switch got the state of the task that leaves as a last argument in 5.18. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
#define SIM_SWITCH_ARGS void *data, bool preempt, struct task_struct *prev, \
	struct task_struct *next, unsigned int prev_state
#else
#define SIM_SWITCH_ARGS void *data, bool preempt, struct task_struct *prev, \
	struct task_struct *next
#endif

#endif
