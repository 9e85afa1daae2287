// SPDX-License-Identifier: GPL-2.0
/*
 * The books: which cgroup ran on which CPU for how long, whether its sibling was busy, and the energy
 * that follows.
 *
 * One lock guards all of it, and everything that is open is closed at the same instant before anything
 * is read or a price changes. So a snapshot is consistent and its sums are exact integers; that a lock
 * shared by all CPUs is slow does not matter here. It is taken within the run queue's lock: nothing
 * below may wake, print or allocate while it is held.
 */
#include <linux/hash.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/topology.h>
#include <linux/vmalloc.h>

#include "sim.h"

#define FJ_PER_NJ	1000000

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

static DEFINE_RAW_SPINLOCK(lock);
static DEFINE_PER_CPU(struct sim_cpu, cpus);
static struct sim_socket sockets[SIM_SOCKETS];
static unsigned int nr_sockets;
static bool frozen;			/* zones exist: no socket can come any more */
static struct sim_psys psys;
static u64 shown_nj[SIM_SOCKETS][SIM_PARTS + 1];	/* what readers have seen */
static u32 smt_per_mille;
static u64 last_now;
static u64 reset_at;
static u64 root_id;

static struct sim_row *rows;
static u32 nr_rows;
static u32 max_rows;
static u32 *slots;			/* open addressing; 0 is free, else row + 1 */
static unsigned int slot_bits;
static u64 overflows;

/*
 * Time is the scheduler's, which is what the kernel accounts by: where the TSC is not stable, as in an
 * emulated machine on a busy host, it is each CPU's own and differs from the monotonic clock. What
 * belongs to no CPU goes by the clock of whoever looks, and never back.
 */
static u64 advance_clock(void)
{
	last_now = max_t(u64, last_now, sched_clock_cpu(smp_processor_id()));
	return last_now;
}

/* Moves a CPU's books up to `lag` before now. */
static u64 elapsed(struct sim_cpu *cpu, unsigned int at, u64 lag)
{
	u64 now = max_t(u64, cpu->since, sched_clock_cpu(at) - lag);
	u64 ns = now - cpu->since;

	cpu->since = now;
	return ns;
}

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

static void add(struct sim_energy *energy, u64 ns, u32 uw)
{
	u64 fj = ns % FJ_PER_NJ * uw + energy->fj;

	energy->nj += ns / FJ_PER_NJ * uw + fj / FJ_PER_NJ;
	energy->fj = fj % FJ_PER_NJ;
}

/* Takes back what was added before. */
static void take_back(struct sim_energy *energy, u64 ns, u32 uw)
{
	struct sim_energy added = {};

	add(&added, ns, uw);
	energy->nj -= added.nj + (added.fj > energy->fj);
	energy->fj += (added.fj > energy->fj ? FJ_PER_NJ : 0) - added.fj;
}

static u32 *slot_of(u64 id)
{
	u32 mask = (1U << slot_bits) - 1;
	u32 at = hash_64(id, slot_bits);

	while (slots[at] && rows[slots[at] - 1].id != id)
		at = (at + 1) & mask;
	return &slots[at];
}

static u32 row_of_id(u64 id)
{
	u32 *slot = slot_of(id);

	if (*slot)
		return *slot - 1;
	if (nr_rows == max_rows)
		return SIM_ROW_OVERFLOW;
	memset(&rows[nr_rows], 0, sizeof(*rows));
	rows[nr_rows].id = id;
	*slot = ++nr_rows;
	return nr_rows - 1;
}

static u32 row_of_task(struct task_struct *task)
{
	u64 id;
	u32 row;

	rcu_read_lock();
	id = cgroup_id(task_dfl_cgroup(task));
	rcu_read_unlock();
	if (id == root_id && task->flags & PF_KTHREAD)
		return SIM_ROW_KERNEL;
	row = row_of_id(id);
	if (row == SIM_ROW_OVERFLOW)
		overflows++;
	return row;
}

static void set_current(struct sim_cpu *cpu, struct task_struct *task)
{
	cpu->curr = task;
	cpu->busy = task->pid != 0;
	memset(cpu->open_ns, 0, sizeof(cpu->open_ns));
	if (cpu->busy)
		cpu->row = row_of_task(task);
}

typedef void (*booking)(struct sim_energy *energy, u64 ns, u32 uw);

static void book_energy(struct sim_cpu *cpu, const struct sim_slice *slice, booking book)
{
	struct sim_socket *socket = &sockets[cpu->socket];
	struct sim_use *use = &rows[slice->row].use[cpu->socket];
	const u32 *uw = slice->sibling_busy ? socket->shared : socket->alone;
	int part;

	for (part = 0; part < SIM_PARTS; part++) {
		book(&use->part[part], slice->ns, uw[part]);
		book(&socket->total_truth[part], slice->ns, uw[part]);
		book(&socket->counter[part], slice->ns, uw[part]);
	}
	book(&psys.total_truth, slice->ns, uw[SIM_PACKAGE]);
	book(&psys.counter, slice->ns, uw[SIM_PACKAGE]);
}

/* `sign` is 1, or -1 to take a slice back. */
static void book(struct sim_cpu *cpu, const struct sim_slice *slice, int sign)
{
	u64 ns = sign * slice->ns;
	struct sim_use *use;

	if (!slice->busy) {
		cpu->idle_ns += ns;
		return;
	}
	use = &rows[slice->row].use[cpu->socket];
	cpu->busy_ns += ns;
	use->cpu_ns += ns;
	if (slice->sibling_busy)
		use->overlap_ns += ns;
	book_energy(cpu, slice, sign < 0 ? take_back : add);
}

static void book_open(struct sim_cpu *cpu, u64 ns, bool sibling_busy)
{
	const struct sim_slice slice = {
		.ns = ns,
		.row = cpu->row,
		.busy = cpu->busy,
		.sibling_busy = sibling_busy,
	};

	if (!ns)
		return;
	cpu->open_ns[sibling_busy] += ns;
	cpu->sibling_busy = sibling_busy;
	book(cpu, &slice, 1);
}

/* Books all CPUs of a core: who overlapped with whom holds for all of that time. */
static void book_core(unsigned int first, u64 lag)
{
	unsigned int nr_busy = 0;
	unsigned int at = first;
	struct sim_cpu *cpu;

	do {
		cpu = per_cpu_ptr(&cpus, at);
		nr_busy += cpu->online && cpu->busy;
		at = cpu->next_sibling;
	} while (at != first);
	do {
		u64 ns;

		cpu = per_cpu_ptr(&cpus, at);
		ns = elapsed(cpu, at, lag);
		if (!cpu->online)
			cpu->offline_ns += ns;
		else
			book_open(cpu, ns, nr_busy > cpu->busy);
		at = cpu->next_sibling;
	} while (at != first);
}

static void book_idle(struct sim_socket *socket, u64 now)
{
	u64 ns = now - socket->since;
	int part;

	socket->since = now;
	for (part = 0; part < SIM_PARTS; part++) {
		add(&socket->idle_truth[part], ns, socket->idle[part]);
		add(&socket->total_truth[part], ns, socket->idle[part]);
		add(&socket->counter[part], ns, socket->idle[part]);
	}
	add(&psys.total_truth, ns, socket->idle[SIM_PACKAGE]);
	add(&psys.counter, ns, socket->idle[SIM_PACKAGE]);
}

static void book_everything(void)
{
	u64 now = advance_clock();
	unsigned int at;

	for_each_possible_cpu(at)
		if (per_cpu_ptr(&cpus, at)->socket >= 0)
			book_core(at, 0);
	for (at = 0; at < nr_sockets; at++)
		book_idle(&sockets[at], now);
	add(&psys.constant_truth, now - psys.since, psys.constant_uw);
	add(&psys.total_truth, now - psys.since, psys.constant_uw);
	add(&psys.counter, now - psys.since, psys.constant_uw);
	psys.since = now;
}

/* Two busy siblings cost 1 + k times one: (1 + k) / 2 each, rounded down to a whole uW. */
static u32 shared(u32 uw)
{
	return (u64)uw * (1000 + smt_per_mille) / 2000;
}

static u32 core_of(const struct sim_price *price, u32 uw)
{
	return (u64)uw * price->core_per_mille / 1000;
}

static void derive_powers(struct sim_socket *socket)
{
	const struct sim_price *price = &socket->price;
	int part;

	socket->idle[SIM_PACKAGE] = price->idle_uw;
	socket->idle[SIM_DRAM] = price->dram_idle_uw;
	socket->idle[SIM_CORE] = core_of(price, price->idle_uw);
	socket->alone[SIM_PACKAGE] = price->busy_uw;
	socket->alone[SIM_DRAM] = price->dram_busy_uw;
	socket->alone[SIM_CORE] = core_of(price, price->busy_uw);
	for (part = 0; part < SIM_PARTS; part++)
		socket->shared[part] = shared(socket->alone[part]);
}

/* What was booked at another price cannot be given to another task any more. */
static void forget_open(void)
{
	unsigned int at;

	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);

		memset(cpu->open_ns, 0, sizeof(cpu->open_ns));
	}
}

unsigned int sim_nr_sockets(void)
{
	return nr_sockets;
}

int sim_package(unsigned int socket)
{
	return sockets[socket].package;
}

int sim_socket_of_cpu(unsigned int cpu)
{
	return per_cpu_ptr(&cpus, cpu)->socket;
}

int sim_socket_of_package(int package)
{
	unsigned int at;

	for (at = 0; at < nr_sockets; at++)
		if (sockets[at].package == package)
			return at;
	return -ENOENT;
}

/* Under the lock. */
static int socket_for(int package, u64 now)
{
	int at = sim_socket_of_package(package);

	if (at >= 0)
		return at;
	if (frozen || nr_sockets == SIM_SOCKETS)
		return -1;
	sockets[nr_sockets].package = package;
	sockets[nr_sockets].since = now;
	return nr_sockets++;
}

static void join_siblings(unsigned int at)
{
	struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);
	unsigned int other;

	for_each_cpu(other, topology_sibling_cpumask(at)) {
		struct sim_cpu *sibling = per_cpu_ptr(&cpus, other);

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
	struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	book_everything();
	if (cpu->socket < 0) {
		elapsed(cpu, at, 0);
		cpu->socket = socket_for(package, last_now);
		if (cpu->socket >= 0)
			join_siblings(at);
	}
	if (cpu->socket >= 0) {
		cpu->online = true;
		set_current(cpu, current);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* Called elsewhere, once the CPU runs nothing any more. */
void sim_cpu_dead(unsigned int at)
{
	struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	book_everything();
	cpu->online = false;
	cpu->curr = NULL;
	raw_spin_unlock_irqrestore(&lock, flags);
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
		book(cpu, slice, -1);
	}
	set_current(cpu, next);
	for (at = 0; at < 2; at++) {
		given[at].row = cpu->row;
		given[at].busy = cpu->busy;
		book(cpu, &given[at], 1);
	}
}

void sim_switch(struct task_struct *prev, struct task_struct *next)
{
	unsigned long flags;
	struct sim_cpu *cpu;
	u64 lag, at;

	raw_spin_lock_irqsave(&lock, flags);
	cpu = this_cpu_ptr(&cpus);
	if (cpu->online) {
		lag = lag_of_switch(prev, next);
		at = sched_clock_cpu(smp_processor_id()) - lag;
		book_core(smp_processor_id(), lag);
		switch_early(cpu, next, cpu->since > at ? cpu->since - at : 0);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

/*
 * Tasks changed their cgroup, perhaps while they ran. A current task can be looked at from here: its
 * CPU has to pass sim_switch(), and so the lock, before the task can be freed.
 */
void sim_moved(void)
{
	unsigned long flags;
	unsigned int at;

	raw_spin_lock_irqsave(&lock, flags);
	book_everything();
	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);

		if (cpu->online)
			set_current(cpu, cpu->curr);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

void sim_cgroup_born(u64 id, const char *path)
{
	size_t length = strlen(path);
	unsigned long flags;
	u32 row;

	if (length >= SIM_PATH)
		path += length - (SIM_PATH - 1);
	raw_spin_lock_irqsave(&lock, flags);
	row = row_of_id(id);
	if (row != SIM_ROW_OVERFLOW)
		strscpy(rows[row].path, path, SIM_PATH);
	raw_spin_unlock_irqrestore(&lock, flags);
}

void sim_cgroup_released(u64 id)
{
	unsigned long flags;
	u32 *slot;

	raw_spin_lock_irqsave(&lock, flags);
	slot = slot_of(id);
	if (*slot)
		rows[*slot - 1].released = true;
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* Rows of released cgroups make room; what runs finds its row anew. */
static void drop_released_rows(void)
{
	u32 from, to = SIM_ROW_FIRST;

	memset(slots, 0, sizeof(*slots) << slot_bits);
	for (from = SIM_ROW_FIRST; from < nr_rows; from++) {
		if (rows[from].released)
			continue;
		if (from != to)
			rows[to] = rows[from];
		*slot_of(rows[to].id) = to + 1;
		to++;
	}
	nr_rows = to;
}

static void clear_sums(void)
{
	unsigned int at;

	for (at = 0; at < nr_rows; at++)
		memset(rows[at].use, 0, sizeof(rows[at].use));
	for (at = 0; at < nr_sockets; at++) {
		memset(sockets[at].idle_truth, 0, sizeof(sockets[at].idle_truth));
		memset(sockets[at].total_truth, 0, sizeof(sockets[at].total_truth));
	}
	memset(&psys.constant_truth, 0, sizeof(psys.constant_truth));
	memset(&psys.total_truth, 0, sizeof(psys.total_truth));
	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);

		cpu->busy_ns = 0;
		cpu->idle_ns = 0;
		cpu->offline_ns = 0;
	}
	overflows = 0;
}

void sim_reset_truth(void)
{
	unsigned long flags;
	unsigned int at;

	raw_spin_lock_irqsave(&lock, flags);
	book_everything();
	drop_released_rows();
	clear_sums();
	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);

		if (cpu->online)
			set_current(cpu, cpu->curr);
	}
	reset_at = last_now;
	raw_spin_unlock_irqrestore(&lock, flags);
}

struct sim_energy sim_counter(enum sim_part part, unsigned int socket)
{
	struct sim_energy energy;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	book_everything();
	energy = part == SIM_PSYS ? psys.counter : sockets[socket].counter[part];
	/* What is given to another task may cost less there; no counter runs backwards for that. */
	if (energy.nj < shown_nj[socket][part])
		energy.nj = shown_nj[socket][part];
	shown_nj[socket][part] = energy.nj;
	raw_spin_unlock_irqrestore(&lock, flags);
	return energy;
}

struct sim_price sim_price(unsigned int socket)
{
	struct sim_price price;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	price = sockets[socket].price;
	raw_spin_unlock_irqrestore(&lock, flags);
	return price;
}

void sim_set_price(unsigned int socket, const struct sim_price *price)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	book_everything();
	sockets[socket].price = *price;
	derive_powers(&sockets[socket]);
	forget_open();
	raw_spin_unlock_irqrestore(&lock, flags);
}

void sim_smt(u32 *per_mille, u32 *psys_uw)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	*per_mille = smt_per_mille;
	*psys_uw = psys.constant_uw;
	raw_spin_unlock_irqrestore(&lock, flags);
}

void sim_set_smt(u32 per_mille, u32 psys_uw)
{
	unsigned long flags;
	unsigned int at;

	raw_spin_lock_irqsave(&lock, flags);
	book_everything();
	smt_per_mille = per_mille;
	psys.constant_uw = psys_uw;
	for (at = 0; at < nr_sockets; at++)
		derive_powers(&sockets[at]);
	forget_open();
	raw_spin_unlock_irqrestore(&lock, flags);
}

static void take(struct sim_snapshot *snapshot, u32 room)
{
	unsigned int at;

	snapshot->time_ns = last_now - reset_at;
	snapshot->overflows = overflows;
	snapshot->nr_sockets = nr_sockets;
	snapshot->psys = psys;
	memcpy(snapshot->sockets, sockets, sizeof(sockets));
	snapshot->nr_rows = min(nr_rows, room);
	memcpy(snapshot->rows, rows, snapshot->nr_rows * sizeof(*rows));
	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);

		if (cpu->socket < 0)
			continue;
		snapshot->cpus[snapshot->nr_cpus++] = (struct sim_cpu_truth) {
			.cpu = at,
			.package = sockets[cpu->socket].package,
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
	snapshot->rows = vzalloc(array_size(max_rows, sizeof(*rows)));
	if (!snapshot->cpus || !snapshot->rows) {
		sim_snapshot_free(snapshot);
		return NULL;
	}
	raw_spin_lock_irqsave(&lock, flags);
	book_everything();
	take(snapshot, max_rows);
	raw_spin_unlock_irqrestore(&lock, flags);
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
	frozen = true;
}

int sim_books_init(unsigned int wanted_rows)
{
	unsigned long flags;
	unsigned int at;

	max_rows = clamp(wanted_rows, 64U, 1U << 20) + SIM_ROW_FIRST;
	slot_bits = ilog2(max_rows) + 2;
	rows = vzalloc(array_size(max_rows, sizeof(*rows)));
	slots = vzalloc(sizeof(*slots) << slot_bits);
	if (!rows || !slots) {
		sim_books_exit();
		return -ENOMEM;
	}
	strscpy(rows[SIM_ROW_KERNEL].path, "kernel", SIM_PATH);
	strscpy(rows[SIM_ROW_OVERFLOW].path, "overflow", SIM_PATH);
	nr_rows = SIM_ROW_FIRST;
	root_id = cgroup_id(&cgrp_dfl_root.cgrp);
	for_each_possible_cpu(at) {
		struct sim_cpu *cpu = per_cpu_ptr(&cpus, at);

		cpu->socket = -1;
		cpu->next_sibling = at;
	}
	raw_spin_lock_irqsave(&lock, flags);
	psys.since = advance_clock();
	raw_spin_unlock_irqrestore(&lock, flags);
	return 0;
}

void sim_books_exit(void)
{
	vfree(rows);
	vfree(slots);
}
