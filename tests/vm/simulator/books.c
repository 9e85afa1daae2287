// SPDX-License-Identifier: GPL-2.0
/*
 * What it cost: time on CPUs becomes energy, at each socket's price.
 */
#include <linux/rcupdate.h>
#include <linux/sched/clock.h>

#include "books.h"

#define FJ_PER_NJ	1000000

struct sim_books sim = { .lock = __RAW_SPIN_LOCK_UNLOCKED(sim.lock) };
DEFINE_PER_CPU(struct sim_cpu, sim_cpus);

/*
 * Time is the scheduler's, which is what the kernel accounts by: where the TSC is not stable, as in an
 * emulated machine on a busy host, it is each CPU's own and differs from the monotonic clock. What
 * belongs to no CPU goes by the clock of whoever looks, and never back.
 */
u64 sim_advance_clock(void)
{
	sim.last_now = max_t(u64, sim.last_now, sched_clock_cpu(smp_processor_id()));
	return sim.last_now;
}

/* Moves a CPU's books up to `lag` before now. */
u64 sim_elapsed(struct sim_cpu *cpu, unsigned int at, u64 lag)
{
	u64 now = max_t(u64, cpu->since, sched_clock_cpu(at) - lag);
	u64 ns = now - cpu->since;

	cpu->since = now;
	return ns;
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

typedef void (*booking)(struct sim_energy *energy, u64 ns, u32 uw);

static void book_energy(struct sim_cpu *cpu, const struct sim_slice *slice, booking book)
{
	struct sim_socket *socket = &sim.sockets[cpu->socket];
	struct sim_use *use = sim_row_use(slice->row, cpu->socket);
	const u32 *uw = slice->sibling_busy ? socket->shared : socket->alone;
	int part;

	for (part = 0; part < SIM_PARTS; part++) {
		book(&use->part[part], slice->ns, uw[part]);
		book(&socket->total_truth[part], slice->ns, uw[part]);
		book(&socket->counter[part], slice->ns, uw[part]);
	}
	book(&sim.psys.total_truth, slice->ns, uw[SIM_PACKAGE]);
	book(&sim.psys.counter, slice->ns, uw[SIM_PACKAGE]);
}

/* `sign` is 1, or -1 to take a slice back. */
void sim_book(struct sim_cpu *cpu, const struct sim_slice *slice, int sign)
{
	u64 ns = sign * slice->ns;
	struct sim_use *use;

	if (!slice->busy) {
		cpu->idle_ns += ns;
		return;
	}
	use = sim_row_use(slice->row, cpu->socket);
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
	sim_book(cpu, &slice, 1);
}

/* Books all CPUs of a core: who overlapped with whom holds for all of that time. */
void sim_book_core(unsigned int first, u64 lag)
{
	unsigned int nr_busy = 0;
	unsigned int at = first;
	struct sim_cpu *cpu;

	do {
		cpu = per_cpu_ptr(&sim_cpus, at);
		nr_busy += cpu->online && cpu->busy;
		at = cpu->next_sibling;
	} while (at != first);
	do {
		u64 ns;

		cpu = per_cpu_ptr(&sim_cpus, at);
		ns = sim_elapsed(cpu, at, lag);
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
	add(&sim.psys.total_truth, ns, socket->idle[SIM_PACKAGE]);
	add(&sim.psys.counter, ns, socket->idle[SIM_PACKAGE]);
}

void sim_book_everything(void)
{
	u64 now = sim_advance_clock();
	unsigned int at;

	for_each_possible_cpu(at)
		if (per_cpu_ptr(&sim_cpus, at)->socket >= 0)
			sim_book_core(at, 0);
	for (at = 0; at < sim.nr_sockets; at++)
		book_idle(&sim.sockets[at], now);
	add(&sim.psys.constant_truth, now - sim.psys.since, sim.psys.constant_uw);
	add(&sim.psys.total_truth, now - sim.psys.since, sim.psys.constant_uw);
	add(&sim.psys.counter, now - sim.psys.since, sim.psys.constant_uw);
	sim.psys.since = now;
}

/* Two busy siblings cost 1 + k times one: (1 + k) / 2 each, rounded down to a whole uW. */
static u32 shared(u32 uw)
{
	return (u64)uw * (1000 + sim.smt_per_mille) / 2000;
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
		struct sim_cpu *cpu = per_cpu_ptr(&sim_cpus, at);

		memset(cpu->open_ns, 0, sizeof(cpu->open_ns));
	}
}

unsigned int sim_nr_sockets(void)
{
	return sim.nr_sockets;
}

int sim_package(unsigned int socket)
{
	return sim.sockets[socket].package;
}

int sim_socket_of_cpu(unsigned int cpu)
{
	return per_cpu_ptr(&sim_cpus, cpu)->socket;
}

int sim_socket_of_package(int package)
{
	unsigned int at;

	for (at = 0; at < sim.nr_sockets; at++)
		if (sim.sockets[at].package == package)
			return at;
	return -ENOENT;
}

struct sim_price sim_price(unsigned int socket)
{
	struct sim_price price;
	unsigned long flags;

	raw_spin_lock_irqsave(&sim.lock, flags);
	price = sim.sockets[socket].price;
	raw_spin_unlock_irqrestore(&sim.lock, flags);
	return price;
}

void sim_set_price(unsigned int socket, const struct sim_price *price)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&sim.lock, flags);
	sim_book_everything();
	sim.sockets[socket].price = *price;
	derive_powers(&sim.sockets[socket]);
	forget_open();
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}

void sim_smt(u32 *per_mille, u32 *psys_uw)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&sim.lock, flags);
	*per_mille = sim.smt_per_mille;
	*psys_uw = sim.psys.constant_uw;
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}

void sim_set_smt(u32 per_mille, u32 psys_uw)
{
	unsigned long flags;
	unsigned int at;

	raw_spin_lock_irqsave(&sim.lock, flags);
	sim_book_everything();
	sim.smt_per_mille = per_mille;
	sim.psys.constant_uw = psys_uw;
	for (at = 0; at < sim.nr_sockets; at++)
		derive_powers(&sim.sockets[at]);
	forget_open();
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}
