// SPDX-License-Identifier: GPL-2.0
/*
 * A machine with RAPL, simulated: powercap zones and a perf PMU whose energy is a known function of
 * who ran on which CPU, and the truth about it per cgroup. For tests in a virtual machine only.
 */
#include <linux/module.h>

#include "sim.h"

/* Values per socket; the last one given holds for all further sockets. */
static unsigned int idle_uw[SIM_SOCKETS] = { 5000000, 8000000 };
static int nr_idle_uw = 2;
module_param_array(idle_uw, uint, &nr_idle_uw, 0444);
MODULE_PARM_DESC(idle_uw, "power of a package at rest, per socket");

static unsigned int busy_uw[SIM_SOCKETS] = { 10000000, 25000000 };
static int nr_busy_uw = 2;
module_param_array(busy_uw, uint, &nr_busy_uw, 0444);
MODULE_PARM_DESC(busy_uw, "power of a package on top, for each busy CPU, per socket");

static unsigned int dram_idle_uw[SIM_SOCKETS] = { 1000000 };
static int nr_dram_idle_uw = 1;
module_param_array(dram_idle_uw, uint, &nr_dram_idle_uw, 0444);
MODULE_PARM_DESC(dram_idle_uw, "power of the memory at rest, per socket");

static unsigned int dram_busy_uw[SIM_SOCKETS] = { 1500000 };
static int nr_dram_busy_uw = 1;
module_param_array(dram_busy_uw, uint, &nr_dram_busy_uw, 0444);
MODULE_PARM_DESC(dram_busy_uw, "power of the memory on top, for each busy CPU, per socket");

static unsigned int core_per_mille = 700;
module_param(core_per_mille, uint, 0444);
MODULE_PARM_DESC(core_per_mille, "part of a package's energy that its cores use");

static unsigned int smt_per_mille = 150;
module_param(smt_per_mille, uint, 0444);
MODULE_PARM_DESC(smt_per_mille, "k: two busy siblings cost 1 + k times one");

static unsigned int psys_uw = 20000000;
module_param(psys_uw, uint, 0444);
MODULE_PARM_DESC(psys_uw, "power of the platform beyond its packages");

static unsigned int max_rows = 8192;
module_param(max_rows, uint, 0444);
MODULE_PARM_DESC(max_rows, "cgroups that the truth has room for");

/* Ranges and limits of a two-socket server. */
static unsigned long long package_range_uj = 262143328850ULL;
module_param(package_range_uj, ullong, 0444);
MODULE_PARM_DESC(package_range_uj, "max_energy_range_uj of packages");

static unsigned long long core_range_uj = 262143328850ULL;
module_param(core_range_uj, ullong, 0444);
MODULE_PARM_DESC(core_range_uj, "max_energy_range_uj of cores");

static unsigned long long dram_range_uj = 65712999613ULL;
module_param(dram_range_uj, ullong, 0444);
MODULE_PARM_DESC(dram_range_uj, "max_energy_range_uj of memory");

static unsigned long long psys_range_uj = 262143328850ULL;
module_param(psys_range_uj, ullong, 0444);
MODULE_PARM_DESC(psys_range_uj, "max_energy_range_uj of the platform");

static unsigned long long package_max_power_uw = 165000000ULL;
module_param(package_max_power_uw, ullong, 0444);
MODULE_PARM_DESC(package_max_power_uw, "constraint_0_max_power_uw of packages, also their limit");

static unsigned long long dram_max_power_uw = 41250000ULL;
module_param(dram_max_power_uw, ullong, 0444);
MODULE_PARM_DESC(dram_max_power_uw, "constraint_0_max_power_uw of memory");

static unsigned int of_socket(const unsigned int *values, int count, unsigned int socket)
{
	return values[min_t(unsigned int, socket, max(count, 1) - 1)];
}

static int set_prices(void)
{
	unsigned int at;

	if (core_per_mille > 1000 || smt_per_mille > 1000)
		return -ERANGE;
	sim_set_smt(smt_per_mille, psys_uw);
	for (at = 0; at < sim_nr_sockets(); at++) {
		struct sim_price price = {
			.idle_uw = of_socket(idle_uw, nr_idle_uw, at),
			.busy_uw = of_socket(busy_uw, nr_busy_uw, at),
			.dram_idle_uw = of_socket(dram_idle_uw, nr_dram_idle_uw, at),
			.dram_busy_uw = of_socket(dram_busy_uw, nr_dram_busy_uw, at),
			.core_per_mille = core_per_mille,
		};

		sim_set_price(at, &price);
	}
	return 0;
}

static int init_zones(void)
{
	const struct sim_zone_values defaults[SIM_PARTS + 1] = {
		[SIM_PACKAGE] = { package_range_uj, package_max_power_uw, package_max_power_uw },
		[SIM_CORE] = { core_range_uj, 0, 0 },
		[SIM_DRAM] = { dram_range_uj, dram_max_power_uw, 0 },
		[SIM_PSYS] = { psys_range_uj, 0, 0 },
	};

	return sim_zones_init(defaults);
}

static int __init sim_init(void)
{
	int error = sim_books_init(max_rows);

	if (error)
		return error;
	error = sim_hooks_init();
	if (error)
		goto books;
	sim_books_freeze();
	error = set_prices();
	if (error)
		goto hooks;
	error = init_zones();
	if (error)
		goto hooks;
	error = sim_pmu_init();
	if (error)
		goto zones;
	error = sim_control_init();
	if (error)
		goto pmu;
	sim_reset_truth();
	return 0;

pmu:
	sim_pmu_exit();
zones:
	sim_zones_exit();
hooks:
	sim_hooks_exit();
books:
	sim_books_exit();
	return error;
}

static void __exit sim_exit(void)
{
	sim_control_exit();
	sim_pmu_exit();
	sim_zones_exit();
	sim_hooks_exit();
	sim_books_exit();
}

module_init(sim_init);
module_exit(sim_exit);
MODULE_DESCRIPTION("wattrace: simulated powercap zones with a known truth");
MODULE_LICENSE("GPL");
