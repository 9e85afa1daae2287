// SPDX-License-Identifier: GPL-2.0
/*
 * Who runs where: CPUs that come and go, and their switches.
 */
#include <linux/sched/clock.h>
#include <linux/topology.h>

#include "books.h"

/*
 * How long ago the scheduler took the time of this switch. It does so before it looks for the next task,
 * which takes a while where the machine is emulated: a hundred switches of a short task would add up.
 */
static u64 lag_of_switch(const struct task_struct *prev, const struct task_struct *next)
{
	const struct task_struct *stamped = next->pid ? next : prev;
	u64 now = sched_clock_cpu(smp_processor_id());
	u64 stamp = stamped->se.exec_start;

	/* These leave out of the stamp what the clock counts. */
	if (IS_ENABLED(CONFIG_IRQ_TIME_ACCOUNTING) || IS_ENABLED(CONFIG_PARAVIRT_TIME_ACCOUNTING))
		return 0;
	return stamp < now ? now - stamp : 0;
}

static void set_current(struct sim_cpu *cpu, struct task_struct *task)
{
	cpu->curr = task;
	cpu->busy = task->pid != 0;
	memset(cpu->open_ns, 0, sizeof(cpu->open_ns));
	if (cpu->busy)
		cpu->row = sim_row_of_task(task);
}

/* Under the lock. */
static int socket_for(int package, u64 now)
{
	int at = sim_socket_of_package(package);

	if (at >= 0)
		return at;
	if (sim.frozen || sim.nr_sockets == SIM_SOCKETS)
		return -1;
	sim.sockets[sim.nr_sockets].package = package;
	sim.sockets[sim.nr_sockets].since = now;
	return sim.nr_sockets++;
}

static void join_siblings(unsigned int at)
{
	struct sim_cpu *cpu = per_cpu_ptr(&sim_cpus, at);
	unsigned int other;

	for_each_cpu(other, topology_sibling_cpumask(at)) {
		struct sim_cpu *sibling = per_cpu_ptr(&sim_cpus, other);

		if (other == at || sibling->socket < 0)
			continue;
		cpu->next_sibling = sibling->next_sibling;
		sibling->next_sibling = at;
		return;
	}
}

/* Called on the CPU itself: what runs there from now on is known. */
void sim_cpu_online(unsigned int at, int package)
{
	struct sim_cpu *cpu = per_cpu_ptr(&sim_cpus, at);
	unsigned long flags;

	raw_spin_lock_irqsave(&sim.lock, flags);
	sim_book_everything();
	if (cpu->socket < 0) {
		sim_elapsed(cpu, at, 0);
		cpu->socket = socket_for(package, sim.last_now);
		if (cpu->socket >= 0)
			join_siblings(at);
	}
	if (cpu->socket >= 0) {
		cpu->online = true;
		set_current(cpu, current);
	}
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}

/* Called elsewhere, once the CPU runs nothing any more. */
void sim_cpu_dead(unsigned int at)
{
	struct sim_cpu *cpu = per_cpu_ptr(&sim_cpus, at);
	unsigned long flags;

	raw_spin_lock_irqsave(&sim.lock, flags);
	sim_book_everything();
	cpu->online = false;
	cpu->curr = NULL;
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}

/*
 * The task that leaves gives `early` ns to the next one: a read, or switches of the sibling, have booked
 * this CPU beyond the instant of its own switch.
 */
static void switch_early(struct sim_cpu *cpu, struct task_struct *next, u64 early)
{
	struct sim_slice given[2] = {};
	int at;

	for (at = 0; at < 2; at++) {
		struct sim_slice *slice = &given[at];

		slice->sibling_busy = at ? !cpu->sibling_busy : cpu->sibling_busy;
		slice->ns = min(early, cpu->open_ns[slice->sibling_busy]);
		slice->row = cpu->row;
		slice->busy = cpu->busy;
		early -= slice->ns;
		sim_book(cpu, slice, -1);
	}
	set_current(cpu, next);
	for (at = 0; at < 2; at++) {
		given[at].row = cpu->row;
		given[at].busy = cpu->busy;
		sim_book(cpu, &given[at], 1);
	}
}

void sim_switch(struct task_struct *prev, struct task_struct *next)
{
	unsigned long flags;
	struct sim_cpu *cpu;
	u64 lag, at;

	raw_spin_lock_irqsave(&sim.lock, flags);
	cpu = this_cpu_ptr(&sim_cpus);
	if (cpu->online) {
		lag = lag_of_switch(prev, next);
		at = sched_clock_cpu(smp_processor_id()) - lag;
		sim_book_core(smp_processor_id(), lag);
		switch_early(cpu, next, cpu->since > at ? cpu->since - at : 0);
	}
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}

/*
 * A current task can be looked at from here: its CPU has to pass sim_switch(), and so the lock, before
 * the task can be freed.
 */
void sim_look_at_current(void)
{
	unsigned int at;

	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&sim_cpus, at);

		if (cpu->online)
			set_current(cpu, cpu->curr);
	}
}

/* Tasks changed their cgroup, perhaps while they ran. */
void sim_moved(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&sim.lock, flags);
	sim_book_everything();
	sim_look_at_current();
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}
