/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the simulator share. The books (books.h) are the only state that the others look
 * at, always through the functions below and never while holding a lock of their own that a task
 * switch could want.
 */
#ifndef WATTRACE_SIM_H
#define WATTRACE_SIM_H

#include <linux/cgroup.h>
#include <linux/sched.h>
#include <linux/types.h>

#define SIM_SOCKETS	8
/* Bytes of a cgroup's path that are kept, its end where it is longer. */
#define SIM_PATH	192

/* What a socket's energy is split into; psys is the machine's and stands beside them. */
enum sim_part {
	SIM_PACKAGE,
	SIM_DRAM,
	SIM_CORE,
	SIM_PARTS,
	SIM_PSYS = SIM_PARTS,
};

/* Exact: 1 ns at 1 uW is 1 fJ. */
struct sim_energy {
	u64 nj;
	u32 fj;		/* below 10^6 */
};

/* What one row used on one socket. */
struct sim_use {
	u64 cpu_ns;
	u64 overlap_ns;		/* the part of it with a busy sibling */
	struct sim_energy part[SIM_PARTS];
};

struct sim_row {
	u64 id;
	bool released;		/* its cgroup is gone */
	char path[SIM_PATH];
	struct sim_use use[SIM_SOCKETS];
};

/* Rows that are no cgroup. Their ids are below those that kernfs gives. */
enum sim_fixed_row {
	SIM_ROW_KERNEL,		/* kernel threads of the root cgroup */
	SIM_ROW_OVERFLOW,	/* whatever the table has no row for */
	SIM_ROW_FIRST,
};

/* Powers of one socket, in uW. */
struct sim_price {
	u32 idle_uw;		/* the package, always */
	u32 busy_uw;		/* the package, for each busy CPU on top of that */
	u32 dram_idle_uw;
	u32 dram_busy_uw;
	u32 core_per_mille;	/* of the package */
};

struct sim_socket {
	int package;		/* physical id */
	u64 since;		/* idle energy is booked up to here */
	struct sim_price price;
	u32 idle[SIM_PARTS];	/* uW that follow from the price */
	u32 alone[SIM_PARTS];
	u32 shared[SIM_PARTS];
	struct sim_energy idle_truth[SIM_PARTS];	/* since the last reset of the truth */
	struct sim_energy total_truth[SIM_PARTS];
	struct sim_energy counter[SIM_PARTS];		/* since the module was loaded */
};

struct sim_psys {
	u64 since;
	u32 constant_uw;
	struct sim_energy constant_truth;
	struct sim_energy total_truth;
	struct sim_energy counter;
};

struct sim_cpu_truth {
	unsigned int cpu;
	int package;
	u64 busy_ns;
	u64 idle_ns;
	u64 offline_ns;
};

/* Everything at one instant. */
struct sim_snapshot {
	u64 time_ns;			/* since the last reset */
	u64 overflows;			/* slices that went to the overflow row */
	unsigned int nr_sockets;
	unsigned int nr_cpus;
	unsigned int nr_rows;
	struct sim_psys psys;
	struct sim_socket sockets[SIM_SOCKETS];
	struct sim_cpu_truth *cpus;
	struct sim_row *rows;
};

/* books.c, cpus.c, rows.c, truth.c: who ran where, and what it cost */
int sim_books_init(unsigned int max_rows);
void sim_books_exit(void);
void sim_books_freeze(void);
unsigned int sim_nr_sockets(void);
int sim_package(unsigned int socket);
int sim_socket_of_cpu(unsigned int cpu);
int sim_socket_of_package(int package);
void sim_cpu_online(unsigned int cpu, int package);
void sim_cpu_dead(unsigned int cpu);
void sim_switch(struct task_struct *prev, struct task_struct *next);
void sim_moved(void);
void sim_cgroup_born(u64 id, const char *path);
void sim_cgroup_released(u64 id);
void sim_reset_truth(void);
struct sim_energy sim_counter(enum sim_part part, unsigned int socket);
struct sim_price sim_price(unsigned int socket);
void sim_set_price(unsigned int socket, const struct sim_price *price);
void sim_smt(u32 *per_mille, u32 *psys_uw);
void sim_set_smt(u32 per_mille, u32 psys_uw);
struct sim_snapshot *sim_snapshot(void);
void sim_snapshot_free(struct sim_snapshot *snapshot);

/* hooks.c: switches, cgroups and hotplug of the running kernel */
int sim_hooks_init(void);
void sim_hooks_exit(void);

/* zones.c: the powercap zones and their faults */
struct sim_zone_values {
	u64 range_uj;
	u64 max_power_uw;
	u64 power_limit_uw;
};

int sim_zones_init(const struct sim_zone_values defaults[SIM_PARTS + 1]);
void sim_zones_exit(void);
unsigned int sim_nr_zones(void);
const char *sim_zone_path(unsigned int zone);
int sim_zone_find(const char *path);
struct sim_zone_values sim_zone_values(unsigned int zone);
int sim_zone_set_values(unsigned int zone, const struct sim_zone_values *values);
void sim_zone_reset(unsigned int zone);
void sim_zone_jump(unsigned int zone, s64 uj);
void sim_zone_fail(unsigned int zone, bool on);
int sim_zone_vanish(unsigned int zone);
int sim_zone_return(unsigned int zone);

/* pmu.c: the same energy as perf events */
int sim_pmu_init(void);
void sim_pmu_exit(void);
void sim_pmu_cpu_online(unsigned int cpu);
void sim_pmu_cpu_offline(unsigned int cpu);

/* control.c: debugfs */
int sim_control_init(void);
void sim_control_exit(void);

#endif
