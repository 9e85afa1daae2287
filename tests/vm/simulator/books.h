/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The books from within. One lock guards all of them, and everything that is open is closed at the same
 * instant before anything is read or a price changes. So a snapshot is consistent and its sums are exact
 * integers; that a lock shared by all CPUs is slow does not matter here. It is taken within the run
 * queue's lock: nothing may wake, print or allocate while it is held.
 */
#ifndef WATTRACE_SIM_BOOKS_H
#define WATTRACE_SIM_BOOKS_H

#include <linux/percpu.h>
#include <linux/spinlock.h>

#include "sim.h"

/* A stretch of time on one CPU during which nothing changed. */
struct sim_slice {
	u64 ns;
	u32 row;
	bool busy;
	bool sibling_busy;
};

struct sim_cpu {
	int socket;			/* -1: never seen */
	unsigned int next_sibling;	/* a ring over the CPUs of the core */
	bool online;
	bool busy;
	u32 row;
	u64 since;			/* booked up to here */
	u64 open_ns[2];			/* booked since the switch, beside idle and busy siblings */
	bool sibling_busy;		/* when it was booked last */
	struct task_struct *curr;
	u64 busy_ns;
	u64 idle_ns;
	u64 offline_ns;
};

struct sim_books {
	raw_spinlock_t lock;
	struct sim_socket sockets[SIM_SOCKETS];
	unsigned int nr_sockets;
	bool frozen;			/* zones exist: no socket can come any more */
	struct sim_psys psys;
	u64 shown_nj[SIM_SOCKETS][SIM_PARTS + 1];	/* what readers have seen */
	u32 smt_per_mille;
	u64 last_now;
	u64 reset_at;
};

extern struct sim_books sim;
DECLARE_PER_CPU(struct sim_cpu, sim_cpus);

/* All of these under the lock. */

/* books.c */
u64 sim_advance_clock(void);
u64 sim_elapsed(struct sim_cpu *cpu, unsigned int at, u64 lag);
void sim_book(struct sim_cpu *cpu, const struct sim_slice *slice, int sign);
void sim_book_core(unsigned int first, u64 lag);
void sim_book_everything(void);

/* cpus.c */
void sim_look_at_current(void);

/* rows.c, but for the first two, which are called once */
int sim_rows_init(unsigned int max_rows);
void sim_rows_exit(void);
u32 sim_row_of_task(struct task_struct *task);
struct sim_use *sim_row_use(u32 row, unsigned int socket);
void sim_rows_reset(void);
void sim_rows_copy(struct sim_snapshot *snapshot);
size_t sim_rows_bytes(void);

#endif
