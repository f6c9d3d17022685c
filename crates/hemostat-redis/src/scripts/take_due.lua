-- Takes due timers under a lease.
--
-- ARGV: the role, the consumer, the lease in microseconds, most timers to take. Answers with member and due time
-- of each. The score of a timer is the time from which it can be taken: its due time, or the end of the lease under
-- which it was taken; the hash keeps its due time and who took it.

local role, consumer, lease, most = take(4)
local time = now()
local timers, data = prefix .. 'timers:' .. role, prefix .. 'timer:' .. role
local due = {}
for _, member in ipairs(redis.call('ZRANGE', timers, '-inf', text(time), 'BYSCORE', 'LIMIT', 0, most)) do
    local at = string.match(redis.call('HGET', data, member) or '', '^%d+')
    if at then
        redis.call('ZADD', timers, text(time + tonumber(lease)), member)
        redis.call('HSET', data, member, at .. ' ' .. consumer)
        table.insert(due, member)
        table.insert(due, at)
    else
        redis.call('ZREM', timers, member)
    end
end
return due
