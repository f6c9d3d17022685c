-- Hands a dead letter to its group once more: the order, then the entry.
--
-- ARGV: the id of the letter and the milliseconds of its entry, the stream of letters, the key of the commit by which
-- the group would have acknowledged the event or '', then of the order: stream, container, id and event, and of the
-- entry: stream, container, event and group. Answers with the number of the order; -1 where the letter was redriven
-- before, -2 where the event was acknowledged within the last 24 hours.
--
-- The event's id is neither looked for nor remembered: it is known, and stands in the log once more all the same.
-- `redriven` has the letters that were redriven, by the time of their entry, as long as those are in their stream.

local letter, time, letters, key = take(4)
local stream, subject, id, bytes = take(4)
local order = { stream = stream, subject = subject, id = id, bytes = bytes }
local to, about, event, group = take(4)
local again = { stream = to, subject = about, bytes = event, more = { 'redrive', letter, 'for', group } }

know_stream(order.stream)
know_stream(again.stream)
know_latest({ order, again })
redis.call('SCARD', prefix .. 'streams')
local redriven = prefix .. 'redriven'

if redis.call('ZSCORE', redriven, letter) then
    return -1
end
if key ~= '' and seen({ key })[key] then
    return -2
end
local refused = add({ order, again })
if refused then
    return refused
end
number_events()
write_latest()
remember({ order.id })
redis.call('ZADD', redriven, time, letter)
local oldest = redis.call('XRANGE', prefix .. letters, '-', '+', 'COUNT', 1)[1]
if oldest then
    redis.call('ZREMRANGEBYSCORE', redriven, '-inf', '(' .. string.match(oldest[1], '^%d+'))
end
return last_seq - 1
