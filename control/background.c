#include "control/background.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct background_thread {
	struct background background; // first: the interface
	const char *name;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool stop;                      // under the lock, as
	struct errand *first, **behind; // the queue
};

// The next errand.  Returns NULL when it is time to stop and nothing is left.
static struct errand *take(struct background_thread *b)
{
	pthread_mutex_lock(&b->lock);
	while (b->first == NULL && !b->stop)
		pthread_cond_wait(&b->change, &b->lock);
	struct errand *errand = b->first;
	if (errand != NULL) {
		b->first = errand->next;
		if (b->first == NULL)
			b->behind = &b->first;
	}
	pthread_mutex_unlock(&b->lock);
	return errand;
}

static void *serve(void *argument)
{
	struct background_thread *b = argument;
	struct errand *errand;
	pthread_setname_np(pthread_self(), b->name);
	while ((errand = take(b)) != NULL)
		errand->run(errand);
	return NULL;
}

static void thread_add(struct background *background, struct errand *errand)
{
	struct background_thread *b = (struct background_thread *)background;
	pthread_mutex_lock(&b->lock);
	errand->next = NULL;
	*b->behind = errand;
	b->behind = &errand->next;
	pthread_cond_signal(&b->change);
	pthread_mutex_unlock(&b->lock);
}

static void thread_destroy(struct background *background)
{
	struct background_thread *b = (struct background_thread *)background;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->change);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->change);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

int background_create_thread(const char *name, struct background **ret_background)
{
	static const struct background_ops ops = {thread_add, thread_destroy};
	struct background_thread *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	b->background.ops = &ops;
	b->name = name;
	b->behind = &b->first;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->change, NULL);
	int error = pthread_create(&b->thread, NULL, serve, b);
	if (error == 0) {
		*ret_background = &b->background;
		return 0;
	}
	pthread_cond_destroy(&b->change);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return -error;
}
