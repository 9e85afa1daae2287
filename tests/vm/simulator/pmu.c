// SPDX-License-Identifier: GPL-2.0
/*
 * The perf PMU `power`: the same energy as counters of 64 bits, one event per package, in units of
 * 2^-32 J. Faults of zones do not reach it.
 */
#include <linux/cpumask.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/perf_event.h>

#include "sim.h"

#define EVENT_MASK	0xffULL

enum event {
	EVENT_CORES = 1,
	EVENT_PKG = 2,
	EVENT_RAM = 3,
	EVENT_PSYS = 5,
};

static struct cpumask leaders;		/* one CPU of each package */
static bool registered;

static int part_of(u64 config)
{
	switch (config) {
	case EVENT_CORES:
		return SIM_CORE;
	case EVENT_PKG:
		return SIM_PACKAGE;
	case EVENT_RAM:
		return SIM_DRAM;
	case EVENT_PSYS:
		return SIM_PSYS;
	default:
		return -EINVAL;
	}
}

static u64 count_now(struct perf_event *event)
{
	enum sim_part part = event->hw.event_base;
	unsigned int socket = event->hw.idx;
	u64 nj, nj_of_second;

	/* The platform's counter counts on the first package only. */
	if (part == SIM_PSYS && socket != 0)
		return 0;
	nj = sim_counter(part, socket).nj;
	nj_of_second = nj % NSEC_PER_SEC;
	return (nj / NSEC_PER_SEC << 32) + (nj_of_second << 32) / NSEC_PER_SEC;
}

static void event_read(struct perf_event *event)
{
	u64 now = count_now(event);
	u64 before = local64_xchg(&event->hw.prev_count, now);

	local64_add(now - before, &event->count);
}

static void event_start(struct perf_event *event, int flags)
{
	event->hw.state = 0;
	local64_set(&event->hw.prev_count, count_now(event));
}

static void event_stop(struct perf_event *event, int flags)
{
	if (event->hw.state & PERF_HES_STOPPED)
		return;
	event->hw.state |= PERF_HES_STOPPED;
	if (flags & PERF_EF_UPDATE) {
		event_read(event);
		event->hw.state |= PERF_HES_UPTODATE;
	}
}

static int event_add(struct perf_event *event, int flags)
{
	event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
	if (flags & PERF_EF_START)
		event_start(event, flags);
	return 0;
}

static void event_del(struct perf_event *event, int flags)
{
	event_stop(event, PERF_EF_UPDATE);
}

static int event_init(struct perf_event *event)
{
	unsigned int cpu;
	int part, socket;

	if (event->attr.type != event->pmu->type)
		return -ENOENT;
	if (event->cpu < 0 || is_sampling_event(event) || event->attr.config & ~EVENT_MASK)
		return -EINVAL;
	part = part_of(event->attr.config);
	if (part < 0)
		return part;
	socket = sim_socket_of_cpu(event->cpu);
	if (socket < 0)
		return -EINVAL;
	for_each_cpu(cpu, &leaders) {
		if (sim_socket_of_cpu(cpu) != socket)
			continue;
		event->cpu = cpu;
		event->hw.event_base = part;
		event->hw.idx = socket;
		return 0;
	}
	return -ENODEV;
}

static ssize_t cpumask_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return scnprintf(buf, PAGE_SIZE, "%*pbl\n", cpumask_pr_args(&leaders));
}
static DEVICE_ATTR_RO(cpumask);

static struct attribute *cpumask_attrs[] = { &dev_attr_cpumask.attr, NULL };
static const struct attribute_group cpumask_group = { .attrs = cpumask_attrs };

PMU_FORMAT_ATTR(event, "config:0-7");
static struct attribute *format_attrs[] = { &format_attr_event.attr, NULL };
static const struct attribute_group format_group = { .name = "format", .attrs = format_attrs };

#define UNIT	"Joules"
#define SCALE	"2.3283064365386962890625e-10"

PMU_EVENT_ATTR_STRING(energy-cores, cores, "event=0x01");
PMU_EVENT_ATTR_STRING(energy-cores.unit, cores_unit, UNIT);
PMU_EVENT_ATTR_STRING(energy-cores.scale, cores_scale, SCALE);
PMU_EVENT_ATTR_STRING(energy-pkg, pkg, "event=0x02");
PMU_EVENT_ATTR_STRING(energy-pkg.unit, pkg_unit, UNIT);
PMU_EVENT_ATTR_STRING(energy-pkg.scale, pkg_scale, SCALE);
PMU_EVENT_ATTR_STRING(energy-ram, ram, "event=0x03");
PMU_EVENT_ATTR_STRING(energy-ram.unit, ram_unit, UNIT);
PMU_EVENT_ATTR_STRING(energy-ram.scale, ram_scale, SCALE);
PMU_EVENT_ATTR_STRING(energy-psys, psys, "event=0x05");
PMU_EVENT_ATTR_STRING(energy-psys.unit, psys_unit, UNIT);
PMU_EVENT_ATTR_STRING(energy-psys.scale, psys_scale, SCALE);

static struct attribute *event_attrs[] = {
	&cores.attr.attr, &cores_unit.attr.attr, &cores_scale.attr.attr,
	&pkg.attr.attr, &pkg_unit.attr.attr, &pkg_scale.attr.attr,
	&ram.attr.attr, &ram_unit.attr.attr, &ram_scale.attr.attr,
	&psys.attr.attr, &psys_unit.attr.attr, &psys_scale.attr.attr,
	NULL,
};
static const struct attribute_group event_group = { .name = "events", .attrs = event_attrs };

static const struct attribute_group *groups[] = {
	&cpumask_group, &format_group, &event_group, NULL,
};

static struct pmu pmu = {
	.module = THIS_MODULE,
	.attr_groups = groups,
	.task_ctx_nr = perf_invalid_context,
	.capabilities = PERF_PMU_CAP_NO_EXCLUDE,
	.event_init = event_init,
	.add = event_add,
	.del = event_del,
	.start = event_start,
	.stop = event_stop,
	.read = event_read,
};

/* Hotplug callbacks come one at a time. */
static int leader_of(int socket)
{
	unsigned int cpu;

	for_each_cpu(cpu, &leaders)
		if (sim_socket_of_cpu(cpu) == socket)
			return cpu;
	return -1;
}

void sim_pmu_cpu_online(unsigned int cpu)
{
	int socket = sim_socket_of_cpu(cpu);

	if (socket >= 0 && leader_of(socket) < 0)
		cpumask_set_cpu(cpu, &leaders);
}

void sim_pmu_cpu_offline(unsigned int cpu)
{
	unsigned int other;

	if (!cpumask_test_and_clear_cpu(cpu, &leaders))
		return;
	for_each_online_cpu(other) {
		if (other == cpu || sim_socket_of_cpu(other) != sim_socket_of_cpu(cpu))
			continue;
		cpumask_set_cpu(other, &leaders);
		if (registered)
			perf_pmu_migrate_context(&pmu, cpu, other);
		return;
	}
}

int sim_pmu_init(void)
{
	int error = perf_pmu_register(&pmu, "power", -1);

	if (error)
		pr_err("wattrace_sim: cannot register the PMU power: %d\n", error);
	registered = !error;
	return error;
}

void sim_pmu_exit(void)
{
	registered = false;
	perf_pmu_unregister(&pmu);
}
