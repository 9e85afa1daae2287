// SPDX-License-Identifier: GPL-2.0
/*
 * The books opened and looked at: counters, the truth at one instant, and its reset.
 */
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "books.h"

static void clear_sums(void)
{
	unsigned int at;

	for (at = 0; at < sim.nr_sockets; at++) {
		struct sim_socket *socket = &sim.sockets[at];

		memset(socket->idle_truth, 0, sizeof(socket->idle_truth));
		memset(socket->total_truth, 0, sizeof(socket->total_truth));
	}
	memset(&sim.psys.constant_truth, 0, sizeof(sim.psys.constant_truth));
	memset(&sim.psys.total_truth, 0, sizeof(sim.psys.total_truth));
	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&sim_cpus, at);

		cpu->busy_ns = 0;
		cpu->idle_ns = 0;
		cpu->offline_ns = 0;
	}
}

void sim_reset_truth(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&sim.lock, flags);
	sim_book_everything();
	sim_rows_reset();
	clear_sums();
	sim_look_at_current();
	sim.reset_at = sim.last_now;
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}

struct sim_energy sim_counter(enum sim_part part, unsigned int socket)
{
	struct sim_energy energy;
	unsigned long flags;

	raw_spin_lock_irqsave(&sim.lock, flags);
	sim_book_everything();
	energy = part == SIM_PSYS ? sim.psys.counter : sim.sockets[socket].counter[part];
	/* What is given to another task may cost less there; no counter runs backwards for that. */
	if (energy.nj < sim.shown_nj[socket][part])
		energy.nj = sim.shown_nj[socket][part];
	sim.shown_nj[socket][part] = energy.nj;
	raw_spin_unlock_irqrestore(&sim.lock, flags);
	return energy;
}

static void take(struct sim_snapshot *snapshot)
{
	unsigned int at;

	snapshot->time_ns = sim.last_now - sim.reset_at;
	snapshot->nr_sockets = sim.nr_sockets;
	snapshot->psys = sim.psys;
	memcpy(snapshot->sockets, sim.sockets, sizeof(sim.sockets));
	sim_rows_copy(snapshot);
	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&sim_cpus, at);

		if (cpu->socket < 0)
			continue;
		snapshot->cpus[snapshot->nr_cpus++] = (struct sim_cpu_truth) {
			.cpu = at,
			.package = sim.sockets[cpu->socket].package,
			.busy_ns = cpu->busy_ns,
			.idle_ns = cpu->idle_ns,
			.offline_ns = cpu->offline_ns,
		};
	}
}

struct sim_snapshot *sim_snapshot(void)
{
	struct sim_snapshot *snapshot = kzalloc(sizeof(*snapshot), GFP_KERNEL);
	unsigned long flags;

	if (!snapshot)
		return NULL;
	snapshot->cpus = kvcalloc(nr_cpu_ids, sizeof(*snapshot->cpus), GFP_KERNEL);
	snapshot->rows = vzalloc(sim_rows_bytes());
	if (!snapshot->cpus || !snapshot->rows) {
		sim_snapshot_free(snapshot);
		return NULL;
	}
	raw_spin_lock_irqsave(&sim.lock, flags);
	sim_book_everything();
	take(snapshot);
	raw_spin_unlock_irqrestore(&sim.lock, flags);
	return snapshot;
}

void sim_snapshot_free(struct sim_snapshot *snapshot)
{
	kvfree(snapshot->cpus);
	vfree(snapshot->rows);
	kfree(snapshot);
}

void sim_books_freeze(void)
{
	sim.frozen = true;
}

int sim_books_init(unsigned int max_rows)
{
	int error = sim_rows_init(max_rows);
	unsigned long flags;
	unsigned int at;

	if (error)
		return error;
	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&sim_cpus, at);

		cpu->socket = -1;
		cpu->next_sibling = at;
	}
	raw_spin_lock_irqsave(&sim.lock, flags);
	sim.psys.since = sim_advance_clock();
	raw_spin_unlock_irqrestore(&sim.lock, flags);
	return 0;
}

void sim_books_exit(void)
{
	sim_rows_exit();
}
