#ifndef LINE_H
#define LINE_H

#include <stdio.h>

#define LINE_LENGTH 256
#define RD_LINE_MAX 1000

/* Reads at most LINE_LENGTH - 1 characters. */
int read_line(FILE *file, char buffer[LINE_LENGTH]);

#endif
