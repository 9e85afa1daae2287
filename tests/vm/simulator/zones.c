// SPDX-License-Identifier: GPL-2.0
/*
 * The powercap zones, laid out as the RAPL driver does, with faults on command.
 *
 * A counter runs from 0 to its range and then starts again at 0, as the hardware's does. Two locks: the
 * mutex is for what comes and goes, the spinlock for values. Readers take only the second, because a
 * zone that goes waits for its readers.
 */
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/powercap.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "sim.h"

#define NR_ZONES	(SIM_SOCKETS * SIM_PARTS + 1)
#define WINDOW_US	999424

struct sim_zone {
	char path[32];		/* package-0, package-0/core, psys */
	const char *name;	/* its last part */
	enum sim_part part;
	unsigned int socket;
	struct sim_zone *parent;
	struct powercap_zone *powercap;		/* NULL: vanished */
	struct sim_zone_values values;
	u64 window_us;
	u64 offset_uj;		/* counter - energy, within the range */
	bool failing;
};

static struct powercap_control_type *control_type;
static struct sim_zone zones[NR_ZONES];
static unsigned int nr_zones;
static DEFINE_MUTEX(registration);
static DEFINE_SPINLOCK(values);

static u64 energy_uj(const struct sim_zone *zone)
{
	return sim_counter(zone->part, zone->socket).nj / 1000;
}

/* Values a counter of this range can have. */
static u64 span(const struct sim_zone *zone)
{
	return zone->values.range_uj + 1;
}

static u64 counter_uj(const struct sim_zone *zone)
{
	return (energy_uj(zone) % span(zone) + zone->offset_uj) % span(zone);
}

static void set_counter(struct sim_zone *zone, u64 uj)
{
	u64 energy = energy_uj(zone) % span(zone);

	zone->offset_uj = (uj % span(zone) + span(zone) - energy) % span(zone);
}

static int get_energy_uj(struct powercap_zone *powercap, u64 *uj)
{
	struct sim_zone *zone = powercap_get_zone_data(powercap);
	int error = 0;

	/* It is set a moment after the files are there. */
	if (!zone)
		return -EAGAIN;
	spin_lock(&values);
	if (zone->failing)
		error = -EIO;
	else
		*uj = counter_uj(zone);
	spin_unlock(&values);
	return error;
}

static int get_max_energy_range_uj(struct powercap_zone *powercap, u64 *uj)
{
	struct sim_zone *zone = powercap_get_zone_data(powercap);

	if (!zone)
		return -EAGAIN;
	spin_lock(&values);
	*uj = zone->values.range_uj;
	spin_unlock(&values);
	return 0;
}

static const struct powercap_zone_ops zone_ops = {
	.get_energy_uj = get_energy_uj,
	.get_max_energy_range_uj = get_max_energy_range_uj,
};

static int get_value(struct powercap_zone *powercap, size_t at, u64 *value)
{
	struct sim_zone *zone = powercap_get_zone_data(powercap);

	if (!zone)
		return -EAGAIN;
	spin_lock(&values);
	*value = *(u64 *)((char *)zone + at);
	spin_unlock(&values);
	return 0;
}

static int set_value(struct powercap_zone *powercap, size_t at, u64 value)
{
	struct sim_zone *zone = powercap_get_zone_data(powercap);

	if (!zone)
		return -EAGAIN;
	spin_lock(&values);
	*(u64 *)((char *)zone + at) = value;
	spin_unlock(&values);
	return 0;
}

static int get_power_limit_uw(struct powercap_zone *powercap, int constraint, u64 *uw)
{
	return get_value(powercap, offsetof(struct sim_zone, values.power_limit_uw), uw);
}

static int set_power_limit_uw(struct powercap_zone *powercap, int constraint, u64 uw)
{
	return set_value(powercap, offsetof(struct sim_zone, values.power_limit_uw), uw);
}

static int get_time_window_us(struct powercap_zone *powercap, int constraint, u64 *us)
{
	return get_value(powercap, offsetof(struct sim_zone, window_us), us);
}

static int set_time_window_us(struct powercap_zone *powercap, int constraint, u64 us)
{
	return set_value(powercap, offsetof(struct sim_zone, window_us), us);
}

static int get_max_power_uw(struct powercap_zone *powercap, int constraint, u64 *uw)
{
	return get_value(powercap, offsetof(struct sim_zone, values.max_power_uw), uw);
}

static const char *get_name(struct powercap_zone *powercap, int constraint)
{
	return "long_term";
}

static const struct powercap_zone_constraint_ops constraint_ops = {
	.get_power_limit_uw = get_power_limit_uw,
	.set_power_limit_uw = set_power_limit_uw,
	.get_time_window_us = get_time_window_us,
	.set_time_window_us = set_time_window_us,
	.get_max_power_uw = get_max_power_uw,
	.get_name = get_name,
};

static int show(struct sim_zone *zone)
{
	struct powercap_zone *parent = zone->parent ? zone->parent->powercap : NULL;
	struct powercap_zone *powercap;

	if (zone->powercap)
		return -EEXIST;
	if (zone->parent && !parent)
		return -ENOENT;
	powercap = powercap_register_zone(NULL, control_type, zone->name, parent, &zone_ops, 1,
					  &constraint_ops);
	if (IS_ERR(powercap))
		return PTR_ERR(powercap);
	powercap_set_zone_data(powercap, zone);
	zone->powercap = powercap;
	return 0;
}

static void hide(struct sim_zone *zone)
{
	if (zone->powercap)
		powercap_unregister_zone(control_type, zone->powercap);
	zone->powercap = NULL;
}

/* A zone goes with its subzones, and comes back with them. */
int sim_zone_vanish(unsigned int at)
{
	struct sim_zone *zone = &zones[at], *other;
	int error = 0;

	mutex_lock(&registration);
	if (zone->powercap) {
		for (other = zones; other < zones + nr_zones; other++)
			if (other->parent == zone)
				hide(other);
		hide(zone);
	} else {
		error = -ENOENT;
	}
	mutex_unlock(&registration);
	return error;
}

int sim_zone_return(unsigned int at)
{
	struct sim_zone *zone = &zones[at], *other;
	int error;

	mutex_lock(&registration);
	error = show(zone);
	for (other = zones; !error && other < zones + nr_zones; other++)
		if (other->parent == zone)
			error = show(other);
	mutex_unlock(&registration);
	return error;
}

void sim_zone_reset(unsigned int at)
{
	spin_lock(&values);
	set_counter(&zones[at], 0);
	spin_unlock(&values);
}

void sim_zone_jump(unsigned int at, s64 uj)
{
	struct sim_zone *zone = &zones[at];
	u64 by;

	spin_lock(&values);
	by = uj < 0 ? span(zone) - -(u64)uj % span(zone) : uj % span(zone);
	zone->offset_uj = (zone->offset_uj + by) % span(zone);
	spin_unlock(&values);
}

void sim_zone_fail(unsigned int at, bool on)
{
	spin_lock(&values);
	zones[at].failing = on;
	spin_unlock(&values);
}

unsigned int sim_nr_zones(void)
{
	return nr_zones;
}

const char *sim_zone_path(unsigned int at)
{
	return zones[at].path;
}

int sim_zone_find(const char *path)
{
	unsigned int at;

	for (at = 0; at < nr_zones; at++)
		if (!strcmp(zones[at].path, path))
			return at;
	return -ENOENT;
}

struct sim_zone_values sim_zone_values(unsigned int at)
{
	struct sim_zone_values copy;

	spin_lock(&values);
	copy = zones[at].values;
	spin_unlock(&values);
	return copy;
}

/* The counter keeps its value, or what of it fits the new range. */
int sim_zone_set_values(unsigned int at, const struct sim_zone_values *new)
{
	u64 counter;

	/* A sum of two values of a counter must not overflow. */
	if (!new->range_uj || new->range_uj > S64_MAX / 2)
		return -ERANGE;
	spin_lock(&values);
	counter = counter_uj(&zones[at]);
	zones[at].values = *new;
	set_counter(&zones[at], counter);
	spin_unlock(&values);
	return 0;
}

static struct sim_zone *add_zone(const char *name, enum sim_part part, unsigned int socket,
			     struct sim_zone *parent)
{
	struct sim_zone *zone = &zones[nr_zones++];

	snprintf(zone->path, sizeof(zone->path), "%s%s%s", parent ? parent->path : "",
		 parent ? "/" : "", name);
	zone->name = strrchr(zone->path, '/') ? strrchr(zone->path, '/') + 1 : zone->path;
	zone->part = part;
	zone->socket = socket;
	zone->parent = parent;
	zone->window_us = WINDOW_US;
	return zone;
}

static void lay_out(void)
{
	unsigned int socket;

	for (socket = 0; socket < sim_nr_sockets(); socket++) {
		struct sim_zone *package;
		char name[16];

		snprintf(name, sizeof(name), "package-%d", sim_package(socket));
		package = add_zone(name, SIM_PACKAGE, socket, NULL);
		add_zone("core", SIM_CORE, socket, package);
		add_zone("dram", SIM_DRAM, socket, package);
	}
	add_zone("psys", SIM_PSYS, 0, NULL);
}

static int show_all(void)
{
	unsigned int at;
	int error = 0;

	/* Packages before their parts, so that they get the ids that the driver gives. */
	mutex_lock(&registration);
	for (at = 0; !error && at < nr_zones; at++)
		error = show(&zones[at]);
	mutex_unlock(&registration);
	return error;
}

int sim_zones_init(const struct sim_zone_values defaults[SIM_PARTS + 1])
{
	unsigned int at;
	int error = 0;

	lay_out();
	for (at = 0; !error && at < nr_zones; at++)
		error = sim_zone_set_values(at, &defaults[zones[at].part]);
	if (error)
		return error;
	control_type = powercap_register_control_type(NULL, "intel-rapl", NULL);
	if (IS_ERR_OR_NULL(control_type)) {
		pr_err("wattrace_sim: cannot register intel-rapl: is a RAPL driver loaded?\n");
		return control_type ? PTR_ERR(control_type) : -EBUSY;
	}
	error = show_all();
	if (error)
		sim_zones_exit();
	return error;
}

void sim_zones_exit(void)
{
	unsigned int at;

	mutex_lock(&registration);
	for (at = nr_zones; at-- > 0;)
		hide(&zones[at]);
	mutex_unlock(&registration);
	powercap_unregister_control_type(control_type);
}
