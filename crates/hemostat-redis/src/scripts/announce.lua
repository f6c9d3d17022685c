-- Announces a replica and forgets those that are gone.
--
-- ARGV: the field of the replica, the time to live in milliseconds, what is known of it. A value is the log time
-- until which it counts, a space, and what is known.

local key = prefix .. 'agents'
local field, ttl, value = take(3)
local time = math.floor(now() / 1000)
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^(%d+) ') or '0') <= time then
        redis.call('HDEL', key, all[i])
    end
end
redis.call('HSET', key, field, text(time + tonumber(ttl)) .. ' ' .. value)
return 1
