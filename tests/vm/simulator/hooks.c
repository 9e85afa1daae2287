// SPDX-License-Identifier: GPL-2.0
/*
 * Where the books hear of the running kernel: task switches, cgroups, and CPUs that come and go.
 */
#include <linux/cgroup.h>
#include <linux/cpuhotplug.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/tracepoint.h>

#include "compat.h"
#include "sim.h"

/* CPUs are spread over this many sockets, 0: those of the topology. */
static unsigned int sockets;
module_param(sockets, uint, 0444);
MODULE_PARM_DESC(sockets, "number of sockets (0: as the topology says)");

static int online_state, dead_state;

static void on_switch(SIM_SWITCH_ARGS)
{
	sim_switch(prev, next);
}

static void on_mkdir(void *data, struct cgroup *cgroup, const char *path)
{
	if (cgroup->root == &cgrp_dfl_root)
		sim_cgroup_born(cgroup_id(cgroup), path);
}

static void on_release(void *data, struct cgroup *cgroup, const char *path)
{
	if (cgroup->root == &cgrp_dfl_root)
		sim_cgroup_released(cgroup_id(cgroup));
}

static void on_attach(void *data, struct cgroup *cgroup, const char *path,
		      struct task_struct *task, bool threadgroup)
{
	if (cgroup->root == &cgrp_dfl_root)
		sim_moved();
}

static struct hook {
	const char *name;
	void *probe;
	struct tracepoint *tracepoint;
	bool attached;
} hooks[] = {
	{ "cgroup_mkdir", on_mkdir },
	{ "cgroup_rename", on_mkdir },
	{ "cgroup_release", on_release },
	{ "cgroup_attach_task", on_attach },
	{ "sched_switch", on_switch },
};

static void find_hook(struct tracepoint *tracepoint, void *unused)
{
	unsigned int at;

	for (at = 0; at < ARRAY_SIZE(hooks); at++)
		if (!strcmp(tracepoint->name, hooks[at].name))
			hooks[at].tracepoint = tracepoint;
}

static void detach(void)
{
	unsigned int at;

	for (at = 0; at < ARRAY_SIZE(hooks); at++)
		if (hooks[at].attached)
			tracepoint_probe_unregister(hooks[at].tracepoint, hooks[at].probe, NULL);
	tracepoint_synchronize_unregister();
}

static int attach(void)
{
	unsigned int at;
	int error;

	for_each_kernel_tracepoint(find_hook, NULL);
	for (at = 0; at < ARRAY_SIZE(hooks); at++) {
		struct hook *hook = &hooks[at];

		error = hook->tracepoint ?
			tracepoint_probe_register(hook->tracepoint, hook->probe, NULL) : -ENOENT;
		if (error) {
			pr_err("wattrace_sim: cannot attach to %s: %d\n", hook->name, error);
			detach();
			return error;
		}
		hook->attached = true;
	}
	return 0;
}

/* Cgroups that were there before; those that come are told by their tracepoint. */
static int name_cgroups(void)
{
	char *path = kmalloc(PATH_MAX, GFP_KERNEL);
	struct cgroup_subsys_state *css;

	if (!path)
		return -ENOMEM;
	rcu_read_lock();
	css_for_each_descendant_pre(css, &cgrp_dfl_root.cgrp.self) {
		if (cgroup_path(css->cgroup, path, PATH_MAX) >= 0)
			sim_cgroup_born(cgroup_id(css->cgroup), path);
	}
	rcu_read_unlock();
	kfree(path);
	return 0;
}

static int package_of(unsigned int cpu)
{
	if (sockets)
		return cpumask_first(topology_sibling_cpumask(cpu)) * sockets / nr_cpu_ids;
	return topology_physical_package_id(cpu);
}

static int cpu_online_callback(unsigned int cpu)
{
	sim_cpu_online(cpu, package_of(cpu));
	sim_pmu_cpu_online(cpu);
	return 0;
}

static int cpu_offline_callback(unsigned int cpu)
{
	sim_pmu_cpu_offline(cpu);
	return 0;
}

/*
 * No switch is told any more once a CPU is marked offline, so its last task, a kernel thread, counts
 * as running until this call.
 */
static int cpu_dead_callback(unsigned int cpu)
{
	sim_cpu_dead(cpu);
	return 0;
}

int sim_hooks_init(void)
{
	int error = attach();

	if (error)
		return error;
	error = name_cgroups();
	if (error)
		goto detach;
	dead_state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "wattrace_sim:dead", NULL,
					       cpu_dead_callback);
	if (dead_state < 0) {
		error = dead_state;
		goto detach;
	}
	online_state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "wattrace_sim:online",
					 cpu_online_callback, cpu_offline_callback);
	if (online_state < 0) {
		error = online_state;
		goto remove_dead;
	}
	return 0;

remove_dead:
	cpuhp_remove_state_nocalls(dead_state);
detach:
	detach();
	return error;
}

void sim_hooks_exit(void)
{
	cpuhp_remove_state_nocalls(online_state);
	cpuhp_remove_state_nocalls(dead_state);
	detach();
}
